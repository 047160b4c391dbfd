"""Helpers that the commands share: error reporting, messages on stderr, rule options."""

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

# Maximum number of problems of rule files that are printed. A folder with rules for another product can
# have hundreds of problems, which would hide other messages.
MAX_PROBLEMS_PRINTED = 5


def report_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Decorate a command: print a DeckwatchError as one line on stderr and exit with 1."""

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
            # The reader of the output, such as head(1), closed the pipe.
            sys.stderr.close()
            raise typer.Exit(0) from None

    return wrapped


def echo_stderr(text: str) -> None:
    typer.echo(text, err=True)


def problem_count_message(count: int) -> str:
    """Return the message that rule files have `count` problems and how to list them."""
    return f"{count} problems in rule files; list them with: deckwatch rules check"


def selected_rules(
    settings: "Settings", rule: Sequence[str] | None, *, all_rules: bool
) -> "RuleSelection":
    """Return the rules that the options `--rule` and `--all-rules` select. Raises typer.BadParameter."""
    from app.cli.rule_selection import select_rules

    if rule and all_rules:
        raise typer.BadParameter("cannot be combined with --all-rules", param_hint="--rule")
    try:
        selection = select_rules(settings, rules=rule or (), all_rules=all_rules)
    except NotFound as error:
        raise typer.BadParameter(str(error), param_hint="--rule") from None
    if selection.problem_count:
        echo_stderr(problem_count_message(selection.problem_count))
    return selection
