"""Before a command does its work: the database as it needs it, and a way in for the first admin."""

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
    """Our own rules and those of the folders that the deployment names; raises FatalError for none there.

    A rule that cannot be loaded is a problem to show, a place without any rule is a wrong setting.
    """
    for folder in folders:
        if not folder.exists():
            raise FatalError(f"DECKWATCH_RULES: there is no {folder}.")
    return load_rules([bundled_rules_dir(), *folders])


def build_detector(rules: Sequence[Rule]) -> Detector:
    """Decides with all of them, whether or not their files enable them."""
    return Detector(rules, non_ecs_keys=MARKER_KEYS, ecs_marker_fields=ECS_MARKER_FIELDS)


def open_migrated_database(settings: Settings, *, on_migrated: Callable[[str], None]) -> Database:
    """The database at its newest revision; `on_migrated` is told when that took a change."""
    database = Database(settings.database_url)
    before, after = schema.upgrade(database)
    if before is not None and before != after:
        on_migrated(f"Migrated the database from revision {before} to {after}.")
    return database


def open_existing_database(settings: Settings) -> Database | None:
    """The database as it is, None when there is no file of it: looking makes and migrates none.

    Raises FatalError when it is not at the newest revision.
    """
    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        return None
    database = Database(settings.database_url)
    if (problem := schema.outdated_message(database)) is not None:
        raise FatalError(f"The database cannot be used: {problem}.")
    return database


def read_rule_overrides(settings: Settings) -> dict[str, bool]:
    """Which rules people have switched, as the database says when there is one; raises FatalError."""
    database = open_existing_database(settings)
    if database is None:
        return {}
    with database.read() as session:
        return rule_overrides.rule_overrides(session)


def create_first_admin_link(database: Database, settings: Settings, *, at: datetime) -> str | None:
    """A one-time link that makes the first admin, or None when there is one already."""
    with database.read() as session:
        if users.count_active_admins(session):
            return None
    token = user_actions.create_link(
        database, LinkPurpose.FIRST_ADMIN, user_id=None, principal=CLI_PRINCIPAL, at=at
    )
    return f"{settings.base_url}/setup/{token}"
