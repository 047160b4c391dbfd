"""The interface of an agent format. The package lists the formats in FORMATS."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.domain.ecs_fields import Document


class EventParseError(Exception):
    """An event cannot be parsed. The message says why and does not quote the event."""


@dataclass(frozen=True, slots=True)
class Format:
    """An agent's event format.

    `marker_keys` are root keys that only this format has. `to_ecs` may raise EventParseError.
    """

    name: str
    marker_keys: tuple[str, ...]
    recognises: Callable[[Mapping[str, object]], bool]
    to_ecs: Callable[[Mapping[str, object]], Document]
