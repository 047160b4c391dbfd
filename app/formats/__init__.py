"""Agent JSON to ECS: bytes to a document, and every known agent's document to one shape.

A format is a file here and its line in FORMATS; which one an event has is found per event.
"""

from collections.abc import Mapping

from app.domain.ecs_fields import Document, field_values
from app.formats import ecs, falco, tetragon, tracee
from app.formats.envelopes import ENVELOPES
from app.formats.format import EventParseError, Format, RejectionKind
from app.formats.json_decode import decode_json

# ECS is last: a shipper may add its own ECS fields to what another agent wrote.
FORMATS: tuple[Format, ...] = (
    falco.FALCO,
    tetragon.TETRAGON,
    tracee.TRACEE,
    tracee.TRACEE_STRUCTURED,
    ecs.ECS,
)

# Root keys by which an event shows that it must be converted before a rule can read it.
MARKER_KEYS: tuple[str, ...] = (
    *(key for envelope in ENVELOPES for key in envelope.marker_keys),
    *(key for agent_format in FORMATS for key in agent_format.marker_keys),
)

__all__ = ["FORMATS", "MARKER_KEYS", "EventParseError", "RejectionKind", "normalise", "parse_event"]


def parse_event(raw: bytes) -> Document:
    """The ECS document of one event; raises EventParseError with a reason that says what is missing."""
    return normalise(decode_json(raw))


def normalise(decoded: object) -> Document:
    """The ECS document of one decoded event; raises EventParseError."""
    if not isinstance(decoded, dict):
        raise EventParseError(
            f"an event is a JSON object, and this is {_JSON_TYPE_NAMES[type(decoded)]}",
            RejectionKind.NOT_AN_OBJECT,
        )
    if ecs.has_event_category(decoded):
        return decoded
    event: Mapping[str, object] = decoded
    host: str | None = None
    for envelope in ENVELOPES:
        if envelope.recognises(event):
            event, envelope_host = envelope.unwrap(event, _find_format)
            host = envelope_host or host
    agent_format = _find_format(event)
    if agent_format is None:
        raise EventParseError(
            "no known agent format: a Falco alert has output_fields, a Tetragon event process_exec, a "
            "Tracee event eventName, and an ECS event at least one of "
            + ", ".join(ecs.ECS_IDENTIFYING_FIELDS),
            RejectionKind.UNKNOWN_FORMAT,
        )
    document = agent_format.to_ecs(event)
    if host is not None and not field_values(document, "host.name"):
        return {**document, "host.name": host}
    return document


def _find_format(event: Mapping[str, object]) -> Format | None:
    return next((agent_format for agent_format in FORMATS if agent_format.recognises(event)), None)


_JSON_TYPE_NAMES: dict[type, str] = {
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
