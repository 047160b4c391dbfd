"""What commands share: they speak on stderr, without a traceback for a mistake, and choose rules alike."""

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import typer

from app.domain.errors import DeckwatchError, NotFound

if TYPE_CHECKING:
    from app.choice import Choice
    from app.settings import Settings

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


def chosen(settings: "Settings", rule: Sequence[str] | None, *, all_rules: bool) -> "Choice":
    """The rules that the options `--rule` and `--all-rules` ask for."""
    from app.choice import choose

    if rule and all_rules:
        raise typer.BadParameter("these rules or all of them, not both", param_hint="--rule")
    try:
        choice = choose(settings, rules=rule or (), all_rules=all_rules)
    except NotFound as error:
        raise typer.BadParameter(str(error), param_hint="--rule") from None
    if choice.problems:
        say(f"{choice.problems} problems in rule files; all of them: deckwatch rules check")
    return choice
