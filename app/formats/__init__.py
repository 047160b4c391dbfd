"""Agent JSON to ECS: bytes to a document, and every known agent's document to one shape.

A format is a file here and its line in FORMATS; which one an event has is found per event.
"""

from app.domain.ecs import Document
from app.formats import ecs
from app.formats.format import Format, Unreadable
from app.formats.json_text import decode

FORMATS: tuple[Format, ...] = (ecs.HIT, ecs.ECS)

# Root keys by which an event shows that it must be converted before a rule can read it.
MARKERS: tuple[str, ...] = tuple(key for known in FORMATS for key in known.markers)

__all__ = ["FORMATS", "MARKERS", "Unreadable", "normalise", "read"]


def read(raw: bytes) -> Document:
    """The ECS document of one event; raises Unreadable with a reason that says what is missing."""
    return normalise(decode(raw))


def normalise(decoded: object) -> Document:
    """The ECS document of one decoded event; raises Unreadable."""
    if not isinstance(decoded, dict):
        raise Unreadable(f"an event is a JSON object, and this is {_KINDS[type(decoded)]}")
    for known in FORMATS:
        if known.recognises(decoded):
            return known.to_ecs(decoded)
    raise Unreadable(
        "no known agent format: an ECS event has at least one of " + ", ".join(ecs.EVIDENCE)
    )


_KINDS: dict[type, str] = {
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
