"""What can go wrong for a reason that a person can act on. Each front door says it in its own way."""

from collections.abc import Mapping


class DeckwatchError(Exception):
    """The first argument is one plain sentence for the person who caused it."""


class InvalidInput(DeckwatchError):
    """Something typed does not fit: `fields` maps each field to what is wrong and what would fit."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(fields.values()))
        self.fields = dict(fields)


class Conflict(DeckwatchError):
    """The thing changed meanwhile, or is not in a state that allows this."""


class NotFound(DeckwatchError):
    """No such thing, or not any more."""


class Forbidden(DeckwatchError):
    """Known, but not allowed."""


class Unavailable(DeckwatchError):
    """Not now: nothing was taken, try again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FatalError(DeckwatchError):
    """The program cannot start or go on as it was told to: a setting, a file, a database."""
