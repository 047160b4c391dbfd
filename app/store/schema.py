"""The schema revision of the database: read it, compare it with this program's revisions, and migrate."""

from collections.abc import Sequence

from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError

from app.domain.errors import FatalError
from app.resources import resource_dir
from app.store import dialect
from app.store.database import Database


def known_revisions() -> list[str]:
    """Return the ids of all revisions, oldest first.

    Each id is the beginning of a file name in migrations/versions, such as 0001. The ids are read from the
    file names, because importing Alembic would slow down every start of the program.
    """
    folder = resource_dir("migrations") / "versions"
    return sorted(path.stem.partition("_")[0] for path in folder.glob("[0-9]*.py"))


def current_revision(database: Database) -> str | None:
    """Return the revision of the database, or None if the database is empty.

    Raises FatalError if the database cannot be read.
    """
    try:
        with database.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
            return str(row[0]) if row else None
    except DatabaseError as error:
        raise FatalError(dialect.open_error_message(error, database.path)) from None


def upgrade(database: Database) -> tuple[str | None, str]:
    """Migrate the database to the newest revision; return the revisions before and after the migration.

    The revision before the migration is None if the database was empty. Raises FatalError if the database is
    newer than this program, or cannot be opened or changed.
    """
    known = known_revisions()
    before = current_revision(database)
    _raise_if_newer(before, known)
    if before != known[-1]:
        _run_alembic(database)
    return before, known[-1]


def outdated_message(database: Database) -> str | None:
    """Return None if the database is up to date, or a sentence if it is older than this program.

    The sentence has no full stop. Raises FatalError if the database is newer, or cannot be read.
    """
    known = known_revisions()
    current = current_revision(database)
    _raise_if_newer(current, known)
    if current == known[-1]:
        return None
    return f"It is at revision {current or 'none'}, not {known[-1]}; run: deckwatch db upgrade"


def check(database: Database) -> list[str]:
    """Return the problems of the database, each as a sentence without a full stop."""
    if (problem := outdated_message(database)) is not None:
        return [problem]
    return dialect.integrity_problems(database.engine)


def _raise_if_newer(current: str | None, known: Sequence[str]) -> None:
    if current is not None and current not in known:
        raise FatalError(
            f"The database is at revision {current}, newer than this Deckwatch, which supports "
            f"revisions up to {known[-1]}; run the newer Deckwatch, or restore a backup."
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
        raise FatalError(dialect.open_error_message(error, database.path)) from None
