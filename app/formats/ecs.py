"""Events that are ECS already (Elastic Defend, Cloud Defend, Auditbeat), bare or as a search hit."""

from collections.abc import Mapping

from app.domain.ecs import Document, values
from app.formats.format import Format, Unreadable

# Elastic's agents always set one of these (ECS, "Event fields"; `ecs.version` is required in ECS).
EVIDENCE = ("event.category", "event.type", "event.action", "event.kind", "ecs.version")


def _is_ecs(document: Mapping[str, object]) -> bool:
    return any(values(document, field) for field in EVIDENCE)


def _is_hit(document: Mapping[str, object]) -> bool:
    return "_source" in document


def _source(document: Mapping[str, object]) -> Document:
    """The event inside an Elasticsearch hit, as exports and copies from Kibana wrap it."""
    source = document["_source"]
    if not isinstance(source, dict) or not _is_ecs(source):
        raise Unreadable("the _source of this Elasticsearch hit is not an ECS event")
    return source


ECS = Format("ecs", (), _is_ecs, lambda document: document)
HIT = Format("elasticsearch hit", ("_source",), _is_hit, _source)
