"""ECS events, which need no conversion: Elastic Defend, Cloud Defend, Auditbeat."""

from collections.abc import Mapping

from app.domain.ecs_fields import field_values
from app.formats.format import Format

# Elastic's agents always set at least one of these fields. An event with `event.category` is ECS. The fields
# after `event.category` do not prove that an event is ECS, because a shipper may add them to a Falco alert.
ECS_IDENTIFYING_FIELDS = (
    "event.category",
    "event.type",
    "event.action",
    "event.kind",
    "ecs.version",
)


def has_event_category(document: Mapping[str, object]) -> bool:
    return bool(field_values(document, ECS_IDENTIFYING_FIELDS[0]))


# The detector recognises ECS events by these fields. They do not include `ecs.version`, because shippers also
# add it to log lines.
ECS_MARKER_FIELDS = ECS_IDENTIFYING_FIELDS[:-1]


def _has_ecs_field(document: Mapping[str, object]) -> bool:
    return any(field_values(document, field) for field in ECS_IDENTIFYING_FIELDS)


ECS = Format("ecs", (), _has_ecs_field, lambda document: document)
