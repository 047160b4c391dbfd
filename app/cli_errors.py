"""How a command speaks to whoever typed it: on stderr, and without a traceback for their mistake."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import typer

from app.domain.errors import DeckwatchError

P = ParamSpec("P")
R = TypeVar("R")


def plain_errors(command: Callable[P, R]) -> Callable[P, R]:
    """A user's mistake is one clear line on stderr and exit 1, never a traceback."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except DeckwatchError as error:
            typer.echo(f"deckwatch: {error}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of our output, such as head(1), has seen enough.
            sys.stderr.close()
            raise typer.Exit(0) from None

    return wrapped


def say(text: str) -> None:
    typer.echo(text, err=True)
