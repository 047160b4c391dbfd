"""The interface of an agent format. FORMATS in `app.formats` lists all formats."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.domain.ecs_fields import Document


class RejectionKind(StrEnum):
    """The reason for which an event is rejected. It is a label of metrics."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    NOT_AN_OBJECT = "not_an_object"
    EMPTY = "empty"
    UNKNOWN_FORMAT = "unknown_format"
    INCOMPLETE = "incomplete"
    OTHER = "other"


class EventParseError(Exception):
    """The event cannot be parsed. `reason` does not quote the bytes of the event.

    The default of `kind` is INCOMPLETE, which means that the event lacks a required field of its format.
    """

    def __init__(self, reason: str, kind: RejectionKind = RejectionKind.INCOMPLETE) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Format:
    """An agent's event format.

    `marker_keys` are root keys that ECS events do not have. The detector uses them to find events that need
    conversion. `recognises` decides whether an event is in this format. `to_ecs` converts an event to ECS and
    may raise EventParseError.
    """

    name: str
    marker_keys: tuple[str, ...]
    recognises: Callable[[Mapping[str, object]], bool]
    to_ecs: Callable[[Mapping[str, object]], Document]
