"""The interface of an agent format. The package lists the formats in FORMATS."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.domain.ecs_fields import Document


class RejectionKind(StrEnum):
    """Why an event is rejected, as a metrics label."""

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
    """An event cannot be parsed. The reason does not quote the bytes of the event.

    The default of `kind` is INCOMPLETE: the event lacks a field that its agent format requires.
    """

    def __init__(self, reason: str, kind: RejectionKind = RejectionKind.INCOMPLETE) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Format:
    """An agent's event format.

    `marker_keys` are root keys that only this format has. `to_ecs` may raise EventParseError.
    """

    name: str
    marker_keys: tuple[str, ...]
    recognises: Callable[[Mapping[str, object]], bool]
    to_ecs: Callable[[Mapping[str, object]], Document]
