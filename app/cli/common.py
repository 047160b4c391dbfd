"""What commands share: they speak on stderr, without a traceback for a mistake, and choose rules alike."""

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import typer

from app.domain.errors import DeckwatchError, NotFound

if TYPE_CHECKING:
    from app.cli.rule_selection import RuleSelection
    from app.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


def report_errors(command: Callable[P, R]) -> Callable[P, R]:
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


def echo_stderr(text: str) -> None:
    typer.echo(text, err=True)


def selected_rules(
    settings: "Settings", rule: Sequence[str] | None, *, all_rules: bool
) -> "RuleSelection":
    """The rules that the options `--rule` and `--all-rules` ask for."""
    from app.cli.rule_selection import select_rules

    if rule and all_rules:
        raise typer.BadParameter("these rules or all of them, not both", param_hint="--rule")
    try:
        selection = select_rules(settings, rules=rule or (), all_rules=all_rules)
    except NotFound as error:
        raise typer.BadParameter(str(error), param_hint="--rule") from None
    if selection.problem_count:
        echo_stderr(
            f"{selection.problem_count} problems in rule files; all of them: deckwatch rules check"
        )
    return selection
