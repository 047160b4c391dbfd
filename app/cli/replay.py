"""The command `deckwatch replay`: evaluate events in files without storing them."""

from typing import Annotated

import typer

from app.cli.common import echo_stderr, report_errors, selected_rules


@report_errors
def replay(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…", help="Files with events, plain, gzip or zstd; - reads stdin."
        ),
    ],
    rule: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only the rule with this id or file name; repeatable."),
    ] = None,
    all_rules: Annotated[
        bool, typer.Option("--all-rules", help="All rules, including disabled ones.")
    ] = False,
    fail_on_match: Annotated[
        bool, typer.Option("--fail-on-match", help="Exit with 3 if a match is not suppressed.")
    ] = False,
    summary_only: Annotated[bool, typer.Option("--summary-only", help="Print no matches.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print no progress and no summary, only problems.")
    ] = False,
) -> None:
    """Evaluate events with rules and exclusions without storing them; print one JSON line per match.

    A file contains NDJSON, a JSON array, or one JSON object. Rejected events and a summary are printed to
    stderr. By default, the command evaluates the enabled rules. A server with the same settings evaluates
    the same rules.

    Exit codes: 0 if every event was evaluated, 1 if an event was rejected or a file could not be read
    completely, 2 for wrong usage, 3 for a match with --fail-on-match, 130 after Ctrl-C.
    """
    from app.cli import replay_run
    from app.cli.event_files import STDIN
    from app.cli.replay_output import ReplayOutput
    from app.settings import read_settings

    if files.count(STDIN) > 1:
        raise typer.BadParameter("stdin (-) may be given only once", param_hint="FILE")
    settings = read_settings()
    replay_rules = replay_run.compile_replay_rules(
        selected_rules(settings, rule, all_rules=all_rules)
    )
    output = ReplayOutput(print_matches=not summary_only, quiet=quiet)
    summary = replay_run.replay_files(files, settings, replay_rules, output)
    if not quiet and not summary.output_closed and (summary.events or summary.interrupted):
        echo_stderr(summary.format())
    raise typer.Exit(summary.exit_code(fail_on_match=fail_on_match))
