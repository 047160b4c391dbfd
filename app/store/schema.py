"""Whether the database has the tables this program knows, and how to bring it there."""

from collections.abc import Sequence

from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from app.domain.errors import FatalError
from app.resources import resource_dir
from app.store.database import Database, open_error_message


def known_revisions() -> list[str]:
    """Revision ids, oldest first: the number each file in migrations/versions begins with.

    Read from names, so that a start with nothing to migrate need not load Alembic.
    """
    folder = resource_dir("migrations") / "versions"
    return sorted(path.stem.partition("_")[0] for path in folder.glob("[0-9]*.py"))


def current_revision(database: Database) -> str | None:
    """The revision the database is at, None for an empty one; raises FatalError when it cannot be read."""
    try:
        with database.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
            return str(row[0]) if row else None
    except (OperationalError, DatabaseError) as error:
        raise FatalError(open_error_message(error, database.path)) from None


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the database to the newest revision; the revisions before and after.

    Raises FatalError when it is newer than this program, or cannot be opened or changed.
    """
    known = known_revisions()
    before = current_revision(database)
    _raise_if_newer(before, known)
    if before != known[-1]:
        _run_alembic(database)
    return before, known[-1]


def outdated_message(database: Database) -> str | None:
    """A sentence for a database older than this program, None for one that fits.

    Raises FatalError when it is newer, or cannot be read.
    """
    known = known_revisions()
    before = current_revision(database)
    _raise_if_newer(before, known)
    if before == known[-1]:
        return None
    return f"It is at revision {before or 'none'}, not {known[-1]}; run: deckwatch db upgrade"


def check(database: Database) -> list[str]:
    """What is wrong with the database, one sentence each; empty when all is well."""
    if (problem := outdated_message(database)) is not None:
        return [problem]
    if not database.is_sqlite:
        return []
    try:
        with database.engine.connect() as connection:
            integrity = connection.execute(text("PRAGMA integrity_check")).scalars().all()
            orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
    except DatabaseError as error:
        return [f"SQLite finds it damaged: {error.orig}"]
    problems = [f"SQLite finds it damaged: {line}" for line in integrity if line != "ok"]
    problems += [f"A row of {row[0]} refers to a missing row of {row[2]}" for row in orphans]
    return problems


def _raise_if_newer(before: str | None, known: Sequence[str]) -> None:
    if before is not None and before not in known:
        raise FatalError(
            f"The database is at revision {before}, newer than this Deckwatch, which knows up to "
            f"{known[-1]}; start the newer one, or restore a backup."
        )


def _run_alembic(database: Database) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(resource_dir("migrations")).replace("%", "%%"))
    try:
        with database.write() as session:
            config.attributes["connection"] = session.connection()
            command.upgrade(config, "head")
    except DatabaseError as error:
        raise FatalError(open_error_message(error, database.path)) from None
