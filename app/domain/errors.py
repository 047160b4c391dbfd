"""Errors that a user can act on. Web pages, the API and the command line display these errors."""

from collections.abc import Mapping


class DeckwatchError(Exception):
    """Base class of errors that a user can act on. The first argument is a message for the user."""


class InvalidInput(DeckwatchError):
    """Invalid user input. `fields` maps each field name to its error message."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(fields.values()))
        self.fields = dict(fields)


class Conflict(DeckwatchError):
    """The object was changed by someone else, or its state does not allow the operation."""


class NotFound(DeckwatchError):
    """The object does not exist, or was deleted."""


class Forbidden(DeckwatchError):
    """The user is signed in but does not have the required role."""


class Unavailable(DeckwatchError):
    """A temporary failure. Nothing was stored, and the caller can retry after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FatalError(DeckwatchError):
    """A command cannot run, for example because a setting is invalid or a file cannot be read."""
