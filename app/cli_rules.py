"""The commands about rules: check their files, list them, enable and disable them."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli_shared import plain_errors, say
from app.domain.roles import COMMAND_LINE

rules = typer.Typer(help="The rules that decide.", no_args_is_help=True)

# A folder of rules for another product can have hundreds, which would hide what is said below them.
PROBLEMS_TOLD = 5


@rules.command("check")
@plain_errors
def rules_check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders; our own rules without any.")
    ] = None,
) -> None:
    """Load rule files and run their test events; exit 1 on any problem."""
    from app.detection.rule import load_rules, run_tests
    from app.resources import packaged_rules
    from app.settings import read_settings

    loaded = load_rules(paths or [packaged_rules(), *read_settings().rules])
    problems = list(loaded.problems)
    tests = 0
    for rule in loaded.rules:
        tests += len(rule.tests)
        problems += run_tests(rule)
    for problem in problems:
        say(str(problem))
    typer.echo(f"{len(loaded.rules)} rules, {tests} test events, {len(problems)} problems")
    if problems:
        raise typer.Exit(1)


@rules.command("compile")
@plain_errors
def rules_compile(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files or folders; the rules that decide here without any."),
    ] = None,
) -> None:
    """Print the Python that rules are compiled to: what decides, to be read and reviewed."""
    from app.detection.rule import load_rules
    from app.detection.switches import deciding
    from app.main import detector_of, rules_of
    from app.settings import read_settings
    from app.setup import wishes_of

    if paths:
        loaded = load_rules(paths)
        chosen = loaded.rules
    else:
        settings = read_settings()
        loaded = rules_of(settings.rules)
        chosen = deciding(loaded.rules, wishes_of(settings))
    for problem in loaded.problems:
        say(str(problem))
    typer.echo(detector_of(chosen).source())
    if loaded.problems:
        raise typer.Exit(1)


@rules.command("list")
@plain_errors
def rules_list() -> None:
    """Every loaded rule: id, state, severity, name."""
    from app.detection.switches import is_enabled
    from app.domain.text import visible
    from app.main import rules_of
    from app.settings import read_settings
    from app.setup import wishes_of

    settings = read_settings()
    loaded = rules_of(settings.rules)
    wishes = wishes_of(settings)
    for rule in loaded.rules:
        state = "enabled" if is_enabled(rule, wishes.get(rule.id)) else "disabled"
        typer.echo(f"{rule.id}\t{state}\t{rule.severity}\t{visible(rule.name)}")
    if loaded.problems:
        say(f"{len(loaded.problems)} problems in rule files; all of them: deckwatch rules check")


@rules.command("enable")
@plain_errors
def rules_enable(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="The rule's id.")],
) -> None:
    """Let a rule decide, also in a running server, within a second."""
    _switch(rule_id, enabled=True)


@rules.command("disable")
@plain_errors
def rules_disable(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="The rule's id.")],
) -> None:
    """Keep a rule from deciding; alerts that exist stay."""
    _switch(rule_id, enabled=False)


def _switch(rule_id: str, *, enabled: bool) -> None:
    from app.actions.rules import named, switch
    from app.clock import utc_now
    from app.domain.text import visible
    from app.main import rules_of
    from app.settings import read_settings
    from app.setup import opened

    settings = read_settings()
    rule = named(rules_of(settings.rules).rules, rule_id)
    changed = switch(
        opened(settings, migrate=say),
        rule,
        enabled=enabled,
        version=None,
        who=COMMAND_LINE,
        at=utc_now(),
    )
    state = "enabled" if enabled else "disabled"
    say(f"“{visible(rule.name)}” is {state}{'' if changed else ' already'}.")
