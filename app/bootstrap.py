"""Startup steps of the commands: load rules, open the database, create the first admin's link."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from app.actions import users as user_actions
from app.detection.detector import Detector
from app.detection.rule import LoadedRules, Rule, load_rules
from app.domain.errors import FatalError
from app.domain.principal import CLI_PRINCIPAL
from app.formats import MARKER_KEYS
from app.formats.ecs import ECS_MARKER_FIELDS
from app.resources import bundled_rules_dir
from app.settings import Settings
from app.store import rule_overrides, schema, users
from app.store.database import Database
from app.store.users import LinkPurpose


def load_configured_rules(folders: Sequence[Path]) -> LoadedRules:
    """Load the bundled rules and the rules in `folders`; raises FatalError for a missing folder.

    A rule file that cannot be loaded raises no exception; the result lists its problems.
    """
    for folder in folders:
        if not folder.exists():
            raise FatalError(f"DECKWATCH_RULES: {folder} does not exist.")
    return load_rules([bundled_rules_dir(), *folders])


def build_detector(rules: Sequence[Rule]) -> Detector:
    """Return a detector that evaluates all of `rules`.

    The detector also evaluates a rule whose file contains `enabled = false`.
    """
    return Detector(rules, non_ecs_keys=MARKER_KEYS, ecs_marker_fields=ECS_MARKER_FIELDS)


def open_migrated_database(settings: Settings, *, on_migrated: Callable[[str], None]) -> Database:
    """Open the database and migrate it to the newest revision.

    If an existing database was migrated, `on_migrated` is called with a sentence that says so.
    """
    database = Database(settings.database_url)
    before, after = schema.upgrade(database)
    if before is not None and before != after:
        on_migrated(f"Migrated the database from revision {before} to {after}.")
    return database


def open_existing_database(settings: Settings) -> Database | None:
    """Open the database without a migration; return None if the SQLite file does not exist.

    Raises FatalError if the database is not at the newest revision.
    """
    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        return None
    database = Database(settings.database_url)
    if (problem := schema.outdated_message(database)) is not None:
        raise FatalError(f"The database cannot be used: {problem}.")
    return database


def read_rule_overrides(settings: Settings) -> dict[str, bool]:
    """Return the rules that users have enabled (True) or disabled (False), by rule id.

    The result is empty if the SQLite file does not exist.
    Raises FatalError if the database cannot be used.
    """
    database = open_existing_database(settings)
    if database is None:
        return {}
    with database.read() as session:
        return rule_overrides.rule_overrides(session)


def create_first_admin_link(database: Database, settings: Settings, *, at: datetime) -> str | None:
    """Return a one-time link that creates the first admin, or None if an admin can sign in already."""
    with database.read() as session:
        if users.count_active_admins(session):
            return None
    token = user_actions.create_link(
        database, LinkPurpose.FIRST_ADMIN, user_id=None, principal=CLI_PRINCIPAL, at=at
    )
    return f"{settings.base_url}/setup/{token}"
