"""Agent JSON to ECS: bytes to a document, and every known agent's document to one shape.

A format is a file here and its line in FORMATS; which one an event has is found per event.
"""

from collections.abc import Mapping

from app.domain.ecs import Document, values
from app.formats import ecs, falco, tetragon, tracee
from app.formats.format import Format, Unreadable
from app.formats.json_text import decode
from app.formats.wrappings import WRAPPINGS

# ECS is last: a shipper may add its own ECS fields to what another agent wrote.
FORMATS: tuple[Format, ...] = (
    falco.FALCO,
    tetragon.TETRAGON,
    tracee.TRACEE,
    tracee.STRUCTURED,
    ecs.ECS,
)

# Root keys by which an event shows that it must be converted before a rule can read it.
MARKERS: tuple[str, ...] = (
    *(key for wrapping in WRAPPINGS for key in wrapping.markers),
    *(key for known in FORMATS for key in known.markers),
)

__all__ = ["FORMATS", "MARKERS", "Unreadable", "normalise", "read"]


def read(raw: bytes) -> Document:
    """The ECS document of one event; raises Unreadable with a reason that says what is missing."""
    return normalise(decode(raw))


def normalise(decoded: object) -> Document:
    """The ECS document of one decoded event; raises Unreadable."""
    if not isinstance(decoded, dict):
        raise Unreadable(f"an event is a JSON object, and this is {_KINDS[type(decoded)]}")
    if ecs.is_categorised(decoded):
        return decoded
    event: Mapping[str, object] = decoded
    host: str | None = None
    for wrapping in WRAPPINGS:
        if wrapping.recognises(event):
            event, told = wrapping.unwrap(event, _format_of)
            host = told or host
    found = _format_of(event)
    if found is None:
        raise Unreadable(
            "no known agent format: a Falco alert has output_fields, a Tetragon event process_exec, a "
            "Tracee event eventName, and an ECS event at least one of " + ", ".join(ecs.EVIDENCE)
        )
    document = found.to_ecs(event)
    if host is not None and not values(document, "host.name"):
        return {**document, "host.name": host}
    return document


def _format_of(event: Mapping[str, object]) -> Format | None:
    return next((known for known in FORMATS if known.recognises(event)), None)


_KINDS: dict[type, str] = {
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
