"""Events that are ECS already: Elastic Defend, Cloud Defend, Auditbeat."""

from collections.abc import Mapping

from app.domain.ecs_fields import field_values
from app.formats.format import Format

# Elastic's agents always set one of these (ECS, "Event fields"; `ecs.version` is required in ECS).
# Who sets the first wrote ECS, whatever else stands beside it; the others a shipper may add to what
# another agent wrote.
ECS_IDENTIFYING_FIELDS = (
    "event.category",
    "event.type",
    "event.action",
    "event.kind",
    "ecs.version",
)


def has_event_category(document: Mapping[str, object]) -> bool:
    return bool(field_values(document, ECS_IDENTIFYING_FIELDS[0]))


# Those of an event that is its agent's own. A shipper's envelope around a line of a log has ecs.version.
ECS_MARKER_FIELDS = ECS_IDENTIFYING_FIELDS[:-1]


def _has_ecs_field(document: Mapping[str, object]) -> bool:
    return any(field_values(document, field) for field in ECS_IDENTIFYING_FIELDS)


ECS = Format("ecs", (), _has_ecs_field, lambda document: document)
