"""The commands about the database: upgrade it, check it, remove what is too old."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli_shared import plain_errors, say
from app.domain.errors import Unusable
from app.domain.roles import COMMAND_LINE

if TYPE_CHECKING:
    from app.store.retention import Pruned

db = typer.Typer(help="The database.", no_args_is_help=True)


@db.command("upgrade")
@plain_errors
def db_upgrade() -> None:
    """Bring the database to the newest revision."""
    from app.settings import read_settings
    from app.store import schema
    from app.store.database import Database

    before, after = schema.upgrade(Database(read_settings().database_url))
    say(f"Already at revision {after}." if before == after else f"Now at revision {after}.")


@db.command("check")
@plain_errors
def db_check() -> None:
    """Look for damage: the schema, SQLite's integrity, the audit log's chain; exit 1 on any."""
    from app.settings import read_settings
    from app.store import audit, schema
    from app.store.database import Database

    settings = read_settings()
    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        raise Unusable(f"There is no database {settings.sqlite_file}.")
    database = Database(settings.database_url)
    problems = schema.check(database)
    if not problems:
        with database.read() as session:
            broken = audit.first_broken(session)
        if broken is not None:
            problems.append(f"The audit log was changed at or just before entry {broken}")
    for problem in problems:
        say(problem + ".")
    if problems:
        raise typer.Exit(1)
    say("All well.")


@db.command("prune")
@plain_errors
def db_prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
) -> None:
    """Remove what is older than the settings say; a running server does so by itself each hour.

    Open and acknowledged alerts stay, and so does the audit log, which gets an entry about this.
    """
    from app.actions import retention as actions
    from app.clock import utc_now
    from app.settings import read_settings
    from app.setup import existing
    from app.store import retention

    settings = read_settings()
    database = existing(settings)
    if database is None:
        raise Unusable(f"There is no database {settings.sqlite_file}.")
    bounds = actions.bounds_of(settings, utc_now())
    with database.read() as session:
        due = retention.outlook(session, bounds)
        too_large = retention.too_large(session, bounds)
    if dry_run:
        say(f"Would remove {due.text()}.")
        if too_large:
            say(
                "The database is above DECKWATCH_RETENTION_MAX_BYTES: more would go, until it fits."
            )
        return
    with _bar(due.rows) as told:
        went = actions.prune(database, bounds, clock=utc_now, who=COMMAND_LINE, told=told)
    say(f"Removed {went.text()}.")
    with database.read() as session:
        if retention.too_large(session, bounds):
            raise Unusable(
                "The database is still above DECKWATCH_RETENTION_MAX_BYTES, and nothing more may go."
            )


@contextmanager
def _bar(total: int) -> "Iterator[Callable[[Pruned], None]]":
    """Draws how far it is on a terminal; what goes beyond `total` goes for its size."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("rows"), BarColumn(bar_width=20), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)

        def told(went: "Pruned") -> None:
            progress.update(task, completed=went.rows, total=max(total, went.rows))

        yield told
