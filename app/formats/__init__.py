"""Conversion of agent events to ECS.

`parse_event` decodes the bytes of one event, removes the envelope of a shipper, detects the agent's
format and converts the event. To add a format, add a module here and an entry in FORMATS.
"""

from collections.abc import Mapping

from app.domain.ecs_fields import Document, field_values
from app.formats import ecs, falco, tetragon, tracee
from app.formats.envelopes import ENVELOPES
from app.formats.format import EventParseError, Format, RejectionKind
from app.formats.json_decode import decode_json

# ECS is last because a shipper may add ECS fields to another agent's event.
FORMATS: tuple[Format, ...] = (
    falco.FALCO,
    tetragon.TETRAGON,
    tracee.TRACEE,
    tracee.TRACEE_STRUCTURED,
    ecs.ECS,
)

# Root keys of envelopes and of formats other than ECS. An event with one of these keys is converted before
# rules are evaluated. There is one exception: an event with `event.category` is ECS and is not converted.
MARKER_KEYS: tuple[str, ...] = (
    *(key for envelope in ENVELOPES for key in envelope.marker_keys),
    *(key for agent_format in FORMATS for key in agent_format.marker_keys),
)

__all__ = ["FORMATS", "MARKER_KEYS", "EventParseError", "RejectionKind", "normalise", "parse_event"]


def parse_event(raw: bytes) -> Document:
    """Return the ECS document of one event.

    Raises EventParseError; its message says why the event cannot be parsed.
    """
    return normalise(decode_json(raw))


def normalise(decoded: object) -> Document:
    """Return the ECS document of one decoded event. Raises EventParseError."""
    if not isinstance(decoded, dict):
        raise EventParseError(
            f"an event is a JSON object, but this is {_JSON_TYPE_NAMES[type(decoded)]}",
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
            "no known agent format: a Falco alert has the key output_fields, a Tetragon event has "
            "process_exec, a Tracee event has eventName, and an ECS event has at least one of "
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
