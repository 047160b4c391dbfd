"""ECS events, which need no conversion: Elastic Defend, Cloud Defend, Auditbeat."""

from collections.abc import Mapping

from app.domain.ecs_fields import field_values
from app.formats.format import Format

# Elastic's agents always set at least one of these (ECS, "Event fields"; ECS requires `ecs.version`).
# An event with `event.category` is ECS. A shipper may add the others to another agent's event.
ECS_IDENTIFYING_FIELDS = (
    "event.category",
    "event.type",
    "event.action",
    "event.kind",
    "ecs.version",
)


def has_event_category(document: Mapping[str, object]) -> bool:
    return bool(field_values(document, ECS_IDENTIFYING_FIELDS[0]))


# The fields by which the detector recognises ECS. `ecs.version` is not among them, because shippers also set
# it on the envelope of a log line.
ECS_MARKER_FIELDS = ECS_IDENTIFYING_FIELDS[:-1]


def _has_ecs_field(document: Mapping[str, object]) -> bool:
    return any(field_values(document, field) for field in ECS_IDENTIFYING_FIELDS)


ECS = Format("ecs", (), _has_ecs_field, lambda document: document)
