"""The commands about the database: `deckwatch db`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.common import echo_stderr, report_errors
from app.domain.errors import FatalError
from app.domain.principal import CLI_PRINCIPAL

if TYPE_CHECKING:
    from app.store.deleted_counts import DeletedCounts

db_commands = typer.Typer(help="Upgrade, check and prune the database.", no_args_is_help=True)


@db_commands.command("upgrade")
@report_errors
def db_upgrade() -> None:
    """Upgrade the database schema to the newest revision."""
    from app.settings import read_settings
    from app.store import schema
    from app.store.database import Database

    before, after = schema.upgrade(Database(read_settings().database_url))
    echo_stderr(f"Already at revision {after}." if before == after else f"Now at revision {after}.")


@db_commands.command("check")
@report_errors
def db_check() -> None:
    """Check the schema revision, SQLite's integrity and the audit log's hash chain.

    Exit codes: 0 if there are no problems, 1 otherwise.
    """
    from app.settings import read_settings
    from app.store import audit, schema
    from app.store.database import Database

    settings = read_settings()
    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        raise FatalError(f"There is no database {settings.sqlite_file}.")
    database = Database(settings.database_url)
    problems = schema.check(database)
    if not problems:
        with database.read() as session:
            invalid_entry = audit.first_invalid_entry(session)
        if invalid_entry is not None:
            problems.append(f"The audit log was changed at or just before entry {invalid_entry}")
    for problem in problems:
        echo_stderr(problem + ".")
    if problems:
        raise typer.Exit(1)
    echo_stderr("No problems.")


@db_commands.command("prune")
@report_errors
def db_prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only report what would be deleted.")
    ] = False,
) -> None:
    """Delete data that is older than the settings allow; a running server does this every hour.

    Open alerts, acknowledged alerts and the audit log are kept. The deletion is recorded in the audit log.
    """
    from app.bootstrap import open_existing_database
    from app.clock import utc_now
    from app.jobs import retention as actions
    from app.settings import read_settings
    from app.store import retention

    settings = read_settings()
    database = open_existing_database(settings)
    if database is None:
        raise FatalError(f"There is no database {settings.sqlite_file}.")
    limits = actions.retention_limits(settings, utc_now())
    with database.read() as session:
        due = retention.count_expired(session, limits)
        too_large = retention.exceeds_max_size(session, limits)
    if dry_run:
        echo_stderr(f"Would delete {due.describe()}.")
        if too_large:
            echo_stderr(
                "The database exceeds DECKWATCH_RETENTION_MAX_BYTES: more would be deleted until it fits."
            )
        return
    with _progress_bar(due.total_rows) as show_progress:
        deleted = actions.prune(
            database, limits, clock=utc_now, principal=CLI_PRINCIPAL, on_progress=show_progress
        )
    echo_stderr(f"Deleted {deleted.describe()}.")
    with database.read() as session:
        if retention.exceeds_max_size(session, limits):
            raise FatalError(
                "The database still exceeds DECKWATCH_RETENTION_MAX_BYTES, but nothing more may be deleted."
            )


@contextmanager
def _progress_bar(total: int) -> "Iterator[Callable[[DeletedCounts], None]]":
    """Show a progress bar on stderr; yield a function that updates the bar.

    If stderr is not a terminal, no bar is shown and the yielded function does nothing.

    `total` is the number of expired rows at the start. If the database exceeds its maximum size, rows that
    have not expired are deleted too. The total of the bar then grows to the number of deleted rows.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("rows"), BarColumn(bar_width=20), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)

        def show_progress(deleted: "DeletedCounts") -> None:
            progress.update(
                task, completed=deleted.total_rows, total=max(total, deleted.total_rows)
            )

        yield show_progress
