"""The command that runs events through detection and exclusions without storing them."""

from typing import Annotated

import typer

from app.cli.common import echo_stderr, report_errors, selected_rules


@report_errors
def replay(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE…", help="Files of events, plain, gzip or zstd; - is stdin."),
    ],
    rule: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only the rule of this id or file name; repeatable."),
    ] = None,
    all_rules: Annotated[
        bool, typer.Option("--all-rules", help="All rules, also the disabled ones.")
    ] = False,
    fail_on_match: Annotated[
        bool, typer.Option("--fail-on-match", help="Exit with 3 when a match is not suppressed.")
    ] = False,
    summary_only: Annotated[bool, typer.Option("--summary-only", help="Write no matches.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress and no summary, only problems.")
    ] = False,
) -> None:
    """Run events through detection and exclusions without storing; one JSON line per match.

    A file holds one event a line, an array, or one object. What cannot be read, and a summary, go to
    stderr. The rules are those that a server would decide with, unless options choose others.

    Exit codes: 0 when every event was judged, 1 when an event was rejected or a file could not be
    read as a whole, 2 for wrong use, 3 for a match with --fail-on-match, 130 after Ctrl-C.
    """
    from app.cli import replay_run as replaying
    from app.cli.replay_output import ReplayOutput
    from app.settings import read_settings

    if files.count(replaying.STDIN) > 1:
        raise typer.BadParameter("stdin can be read only once", param_hint="FILE")
    settings = read_settings()
    replay_rules = replaying.compile_replay_rules(
        selected_rules(settings, rule, all_rules=all_rules)
    )
    output = ReplayOutput(print_matches=not summary_only, quiet=quiet)
    summary = replaying.replay_files(files, settings, replay_rules, output)
    if not quiet and not summary.output_closed and (summary.events or summary.interrupted):
        echo_stderr(summary.format())
    raise typer.Exit(summary.exit_code(fail_on_match=fail_on_match))
