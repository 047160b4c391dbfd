"""Before serving: the database brought up to date, and a way in for the first admin."""

from collections.abc import Callable
from datetime import datetime

from app.actions import accounts
from app.domain.roles import COMMAND_LINE
from app.settings import Settings
from app.store import people, schema
from app.store.database import Database
from app.store.people import Purpose


def opened(settings: Settings, *, migrate: Callable[[str], None]) -> Database:
    """The database at its newest revision; `migrate` is told when that took a change."""
    database = Database(settings.database_url)
    before, after = schema.upgrade(database)
    if before is not None and before != after:
        migrate(f"Migrated the database from revision {before} to {after}.")
    return database


def first_admin_link(database: Database, settings: Settings, *, at: datetime) -> str | None:
    """A one-time link that makes the first admin, or None when there is one already."""
    with database.read() as session:
        if people.active_admins(session):
            return None
    token = accounts.make_link(database, Purpose.FIRST_ADMIN, user_id=None, who=COMMAND_LINE, at=at)
    return f"{settings.base_url}/setup/{token}"
