"""Before a command does its work: the database as it needs it, and a way in for the first admin."""

from collections.abc import Callable
from datetime import datetime

from app.actions import accounts
from app.domain.errors import Unusable
from app.domain.roles import COMMAND_LINE
from app.settings import Settings
from app.store import people, schema, switches
from app.store.database import Database
from app.store.people import Purpose


def opened(settings: Settings, *, migrate: Callable[[str], None]) -> Database:
    """The database at its newest revision; `migrate` is told when that took a change."""
    database = Database(settings.database_url)
    before, after = schema.upgrade(database)
    if before is not None and before != after:
        migrate(f"Migrated the database from revision {before} to {after}.")
    return database


def existing(settings: Settings) -> Database | None:
    """The database as it is, None when there is no file of it: looking makes and migrates none.

    Raises Unusable when it is not at the newest revision.
    """
    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        return None
    database = Database(settings.database_url)
    if (problem := schema.behind(database)) is not None:
        raise Unusable(f"The database cannot be used: {problem}.")
    return database


def wishes_of(settings: Settings) -> dict[str, bool]:
    """Which rules people have switched, as the database says when there is one; raises Unusable."""
    database = existing(settings)
    if database is None:
        return {}
    with database.read() as session:
        return switches.wishes(session)


def first_admin_link(database: Database, settings: Settings, *, at: datetime) -> str | None:
    """A one-time link that makes the first admin, or None when there is one already."""
    with database.read() as session:
        if people.active_admins(session):
            return None
    token = accounts.make_link(database, Purpose.FIRST_ADMIN, user_id=None, who=COMMAND_LINE, at=at)
    return f"{settings.base_url}/setup/{token}"
