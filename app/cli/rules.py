"""The commands about rules: `deckwatch rules`."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import echo_stderr, problem_count_message, report_errors
from app.domain.principal import CLI_PRINCIPAL

rules_commands = typer.Typer(help="Check, list, enable and disable rules.", no_args_is_help=True)


@rules_commands.command("check")
@report_errors
def rules_check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files or folders; by default all rules of the settings."),
    ] = None,
) -> None:
    """Load rule files and run their test events; exit with 1 on any problem."""
    from app.detection.rule import load_rules
    from app.detection.rule_tests import run_tests
    from app.resources import bundled_rules_dir
    from app.settings import read_settings

    loaded = load_rules(paths or [bundled_rules_dir(), *read_settings().rules])
    problems = list(loaded.problems)
    tests = 0
    for rule in loaded.rules:
        tests += len(rule.tests)
        problems += run_tests(rule)
    for problem in problems:
        echo_stderr(str(problem))
    typer.echo(f"{len(loaded.rules)} rules, {tests} test events, {len(problems)} problems")
    if problems:
        raise typer.Exit(1)


@rules_commands.command("compile")
@report_errors
def rules_compile(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files or folders; by default the enabled rules."),
    ] = None,
) -> None:
    """Print the Python source that the rules compile to."""
    from app.bootstrap import build_detector, load_configured_rules, read_rule_overrides
    from app.detection.rule import enabled_rules, load_rules
    from app.settings import read_settings

    if paths:
        loaded = load_rules(paths)
        rules = loaded.rules
    else:
        settings = read_settings()
        loaded = load_configured_rules(settings.rules)
        rules = enabled_rules(loaded.rules, read_rule_overrides(settings))
    for problem in loaded.problems:
        echo_stderr(str(problem))
    typer.echo(build_detector(rules).generated_source())
    if loaded.problems:
        raise typer.Exit(1)


@rules_commands.command("list")
@report_errors
def rules_list() -> None:
    """List all loaded rules: id, state, severity, name."""
    from app.bootstrap import load_configured_rules, read_rule_overrides
    from app.detection.rule import is_enabled
    from app.domain.text import escape_invisible
    from app.settings import read_settings

    settings = read_settings()
    loaded = load_configured_rules(settings.rules)
    rule_overrides = read_rule_overrides(settings)
    for rule in loaded.rules:
        state = "enabled" if is_enabled(rule, rule_overrides.get(rule.id)) else "disabled"
        typer.echo(f"{rule.id}\t{state}\t{rule.severity}\t{escape_invisible(rule.name)}")
    if loaded.problems:
        echo_stderr(problem_count_message(len(loaded.problems)))


@rules_commands.command("enable")
@report_errors
def rules_enable(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="The rule's id.")],
) -> None:
    """Enable a rule; a running server applies the change within a second."""
    _set_rule_enabled(rule_id, enabled=True)


@rules_commands.command("disable")
@report_errors
def rules_disable(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="The rule's id.")],
) -> None:
    """Disable a rule; existing alerts are kept."""
    _set_rule_enabled(rule_id, enabled=False)


def _set_rule_enabled(rule_id: str, *, enabled: bool) -> None:
    from app.actions.rules import get_rule, set_rule_enabled
    from app.bootstrap import load_configured_rules, open_migrated_database
    from app.clock import utc_now
    from app.domain.text import escape_invisible
    from app.settings import read_settings

    settings = read_settings()
    rule = get_rule(load_configured_rules(settings.rules).rules, rule_id)
    changed = set_rule_enabled(
        open_migrated_database(settings, on_migrated=echo_stderr),
        rule,
        enabled=enabled,
        version=None,
        principal=CLI_PRINCIPAL,
        at=utc_now(),
    )
    state = "enabled" if enabled else "disabled"
    echo_stderr(f"“{escape_invisible(rule.name)}” is {state}{'' if changed else ' already'}.")
