"""What every agent format answers; which formats there are is said in the package."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.domain.ecs_fields import Document


class EventParseError(Exception):
    """An event that cannot be read; the first argument says why, without its bytes."""


@dataclass(frozen=True, slots=True)
class Format:
    """`markers` are root keys that only this format has; `to_ecs` may raise EventParseError."""

    name: str
    marker_keys: tuple[str, ...]
    recognises: Callable[[Mapping[str, object]], bool]
    to_ecs: Callable[[Mapping[str, object]], Document]
