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

# `deckwatch serve` prints at most this number of problems in rule files. A folder with rules for another
# product can cause hundreds of problems. If all problems were printed, the user would miss other messages.
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
    """Return a message about the number of problems in rule files.

    Example: "3 problems in rule files; list them with: deckwatch rules check".
    """
    return f"{count} problems in rule files; list them with: deckwatch rules check"


def selected_rules(
    settings: "Settings", rule: Sequence[str] | None, *, all_rules: bool
) -> "RuleSelection":
    """Return the rules that the options `--rule` and `--all-rules` select.

    Raises typer.BadParameter if both options are used, or if `--rule` names an unknown rule. If rule files
    have problems, the function prints the number of problems to stderr.
    """
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
