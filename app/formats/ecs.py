"""Events that are ECS already: Elastic Defend, Cloud Defend, Auditbeat."""

from collections.abc import Mapping

from app.domain.ecs import values
from app.formats.format import Format

# Elastic's agents always set one of these (ECS, "Event fields"; `ecs.version` is required in ECS).
# Who sets the first wrote ECS, whatever else stands beside it; the others a shipper may add to what
# another agent wrote.
EVIDENCE = ("event.category", "event.type", "event.action", "event.kind", "ecs.version")


def is_categorised(document: Mapping[str, object]) -> bool:
    return bool(values(document, EVIDENCE[0]))


# Those of an event that is its agent's own. A shipper's envelope around a line of a log has ecs.version.
AT_SIGHT = EVIDENCE[:-1]


def _is_ecs(document: Mapping[str, object]) -> bool:
    return any(values(document, field) for field in EVIDENCE)


ECS = Format("ecs", (), _is_ecs, lambda document: document)
