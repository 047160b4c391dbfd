"""The command `deckwatch explain`: explain why events match rules or do not match."""

from typing import Annotated

import typer

from app.cli.common import report_errors, selected_rules


@report_errors
def explain(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Events, plain, gzip or zstd; - reads stdin.")
    ],
    rule: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this rule, even if disabled; repeatable."),
    ] = None,
    all_rules: Annotated[
        bool, typer.Option("--all-rules", help="All rules, including disabled ones.")
    ] = False,
) -> None:
    """Explain why events match rules or do not match, without storing the events.

    The output shows the result of each clause of a rule. For a match, it also shows the exclusions of the
    rule.

    Exit codes: 0 if every event is valid, 1 if an event is invalid or the file cannot be read, 2 for wrong
    usage.
    """
    from app.cli import explain_output
    from app.cli.event_files import EventFile
    from app.settings import read_settings

    settings = read_settings()
    event_file = EventFile(file, settings)
    any_rejected = False
    selection = selected_rules(settings, rule, all_rules=all_rules)
    for explanation in explain_output.explain_file(event_file, settings, selection):
        any_rejected = any_rejected or explanation.rejection_reason is not None
        for line in explain_output.format_explanation(explanation, event_file.display_name):
            typer.echo(line)
    if any_rejected:
        raise typer.Exit(1)
