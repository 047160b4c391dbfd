"""Every table, hence long: how things are kept; what the words mean is in the domain.

Histories name people as text (`actor`, …), since they say who it was; live relations are foreign keys.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from app.store.types import UtcDateTime

# Alembic can only change or drop a constraint whose name it knows; SQLite names none by itself.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata: MetaData = SQLModel.metadata


def _utc_column(*, nullable: bool = False, index: bool = False) -> Any:
    return Field(sa_type=UtcDateTime, nullable=nullable, index=index)


class User(SQLModel, table=True):
    """A person. Without a password hash they were invited and have not come yet."""

    __tablename__: ClassVar[Any] = "user_account"

    id: int | None = Field(default=None, primary_key=True)
    name: str
    name_folded: str = Field(unique=True)
    role: str
    password_hash: str | None
    created_at: datetime = _utc_column()
    disabled_at: datetime | None = _utc_column(nullable=True)
    last_login_at: datetime | None = _utc_column(nullable=True)


class LoginSession(SQLModel, table=True):
    """A signed-in browser; `token_hash` is SHA-256 of the cookie."""

    __tablename__: ClassVar[Any] = "login_session"

    token_hash: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user_account.id", index=True)
    created_at: datetime = _utc_column()
    seen_at: datetime = _utc_column()
    ends_at: datetime = _utc_column(index=True)
    address: str
    browser: str


class OneTimeLink(SQLModel, table=True):
    """`purpose` is first_admin, invite or enter; used once, then refused."""

    __tablename__: ClassVar[Any] = "one_time_link"

    token_hash: str = Field(primary_key=True)
    purpose: str
    user_id: int | None = Field(foreign_key="user_account.id", index=True)
    created_at: datetime = _utc_column()
    ends_at: datetime = _utc_column()
    used_at: datetime | None = _utc_column(nullable=True)


class ApiKey(SQLModel, table=True):
    """What a program presents; `key_hash` is SHA-256 of 256 random bits, which need no salt."""

    __tablename__: ClassVar[Any] = "api_key"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    role: str
    key_hash: str = Field(unique=True)
    hint: str
    created_at: datetime = _utc_column()
    created_by: str
    revoked_at: datetime | None = _utc_column(nullable=True)
    revoked_by: str | None


class ApiKeyMinute(SQLModel, table=True):
    """What one key sent in one minute. `seen_at` is the newest receipt in it."""

    __tablename__: ClassVar[Any] = "key_minute"

    key_id: int = Field(foreign_key="api_key.id", primary_key=True)
    minute: datetime = Field(sa_type=UtcDateTime, primary_key=True)
    seen_at: datetime = _utc_column()
    received: int
    matched: int
    suppressed: int
    duplicates: int
    rejected: int
    bytes: int


class Alert(SQLModel, table=True):
    """Matches of one rule with one fingerprint, in one open episode.

    The columns from `headline` on are, for lists and filters, those of the match that ranks highest,
    which `shown_key_id` and `shown_event_id` name. `version` grows with every change a person makes
    and guards against lost updates.
    """

    __tablename__: ClassVar[Any] = "alert"
    __table_args__ = (
        Index(
            "uq_alert_fingerprint_unclosed",
            "fingerprint",
            unique=True,
            sqlite_where=text("status != 'closed'"),
            postgresql_where=text("status != 'closed'"),
        ),
        Index("ix_alert_fingerprint", "fingerprint", "id"),
        Index("ix_alert_status_last_seen", "status", "last_seen", "id"),
        Index("ix_alert_status_priority", "status", "priority", "id"),
        Index("ix_alert_status_match_count", "status", "match_count", "id"),
        Index("ix_alert_last_seen", "last_seen", "id"),
        Index("ix_alert_closed_at", "closed_at", "id"),
        CheckConstraint("status IN ('open', 'acknowledged', 'closed')", name="status"),
        CheckConstraint("(status = 'closed') = (verdict IS NOT NULL)", name="verdict"),
    )

    id: int | None = Field(default=None, primary_key=True)
    rule_id: str = Field(index=True)
    rule_name: str
    fingerprint: str
    status: str
    version: int
    severity: str
    priority: int
    priority_parts: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    first_seen: datetime = _utc_column()
    last_seen: datetime = _utc_column()
    match_count: int
    assignee_id: int | None = Field(foreign_key="user_account.id", index=True)
    verdict: str | None
    reason: str | None = Field(sa_type=Text)
    closed_at: datetime | None = _utc_column(nullable=True)
    closed_by: str | None
    previous_id: int | None = Field(foreign_key="alert.id", index=True)
    shown_key_id: int = Field(foreign_key="api_key.id")
    shown_event_id: str
    headline: str = Field(sa_type=Text)
    command_line: str = Field(sa_type=Text)
    host: str | None = Field(index=True)
    container_id: str | None = Field(index=True)
    container: str | None
    image: str | None = Field(index=True)
    namespace: str | None = Field(index=True)
    pod: str | None
    user_name: str | None = Field(index=True)
    process_name: str | None
    destination: str | None = Field(index=True)
    ssh_role: str | None
    chips: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    search_text: str = Field(sa_type=Text)


class Match(SQLModel, table=True):
    """One event for which one rule's query was true, as its agent wrote it.

    It belongs to an alert or, when an exclusion covered it, to that exclusion's version.
    """

    __tablename__: ClassVar[Any] = "rule_match"
    __table_args__ = (
        UniqueConstraint("key_id", "event_id", "rule_id"),
        Index("ix_rule_match_alert_id", "alert_id", "id"),
        Index("ix_rule_match_exclusion_id", "exclusion_id", "id"),
        CheckConstraint("(alert_id IS NULL) = (exclusion_id IS NOT NULL)", name="owner"),
        CheckConstraint("(exclusion_id IS NULL) = (exclusion_version IS NULL)", name="version"),
    )

    id: int | None = Field(default=None, primary_key=True)
    rule_id: str = Field(index=True)
    key_id: int = Field(foreign_key="api_key.id")
    event_id: str
    received_at: datetime = _utc_column(index=True)
    occurred_at: datetime | None = _utc_column(nullable=True)
    alert_id: int | None = Field(foreign_key="alert.id")
    exclusion_id: int | None = Field(foreign_key="exclusion.id")
    exclusion_version: int | None
    event: bytes = Field(sa_type=LargeBinary)


class AlertActivity(SQLModel, table=True):
    """One change or comment on an alert."""

    __tablename__: ClassVar[Any] = "alert_activity"
    __table_args__ = (Index("ix_alert_activity_alert_id", "alert_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    alert_id: int = Field(foreign_key="alert.id")
    at: datetime = _utc_column()
    actor: str
    kind: str
    before: str | None
    after: str | None = Field(sa_type=Text)
    comment: str | None = Field(sa_type=Text)


class GuideTick(SQLModel, table=True):
    """A guide step that somebody has done for this alert."""

    __tablename__: ClassVar[Any] = "guide_tick"

    alert_id: int = Field(foreign_key="alert.id", primary_key=True)
    part: str = Field(primary_key=True)
    step_key: str = Field(primary_key=True)
    actor: str
    at: datetime = _utc_column()


class ExclusionRecord(SQLModel, table=True):
    """One exclusion over all its versions; `live_version` is the one that matching obeys."""

    __tablename__: ClassVar[Any] = "exclusion"

    id: int | None = Field(default=None, primary_key=True)
    rule_id: str = Field(index=True)
    from_alert_id: int | None = Field(foreign_key="alert.id")
    created_at: datetime = _utc_column()
    newest_version: int
    live_version: int | None
    ended_at: datetime | None = _utc_column(nullable=True)
    ended_by: str | None


class ExclusionVersion(SQLModel, table=True):
    """What was proposed, by whom, and what became of it. Never changed but for its decision."""

    __tablename__: ClassVar[Any] = "exclusion_version"
    __table_args__ = (
        CheckConstraint("decision IN ('waiting', 'approved', 'declined')", name="decision"),
    )

    exclusion_id: int = Field(foreign_key="exclusion.id", primary_key=True)
    version: int = Field(primary_key=True)
    conditions: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    reason: str = Field(sa_type=Text)
    owner: str
    ends_at: datetime = _utc_column()
    proposed_by: str
    proposed_at: datetime = _utc_column()
    decision: str
    decided_by: str | None
    decided_at: datetime | None = _utc_column(nullable=True)


class RuleSwitch(SQLModel, table=True):
    """Whether people want a rule to decide; a rule without a row goes by its own file.

    `version` grows with every change and guards against lost updates.
    """

    __tablename__: ClassVar[Any] = "rule_switch"

    rule_id: str = Field(primary_key=True)
    enabled: bool
    version: int
    changed_at: datetime = _utc_column()
    changed_by: str


class QuarantinedEvent(SQLModel, table=True):
    """An event that could not be read: its bytes and why."""

    __tablename__: ClassVar[Any] = "quarantine"

    id: int | None = Field(default=None, primary_key=True)
    key_id: int = Field(foreign_key="api_key.id", index=True)
    received_at: datetime = _utc_column(index=True)
    reason: str = Field(sa_type=Text)
    event: bytes = Field(sa_type=LargeBinary)


class AuditEntry(SQLModel, table=True):
    """Each entry's hash covers the one before it, so that a changed or missing one shows."""

    __tablename__: ClassVar[Any] = "audit_entry"

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = _utc_column(index=True)
    actor: str = Field(index=True)
    action: str = Field(index=True)
    subject: str
    detail: str = Field(sa_type=Text)
    address: str
    previous_hash: str
    entry_hash: str = Field(unique=True)


class RetentionRun(SQLModel, table=True):
    """Who removes what is too old, until when nobody else may, and what it has removed that the audit
    log does not tell yet. One row at most.
    """

    __tablename__: ClassVar[Any] = "retention_run"

    id: int = Field(primary_key=True)
    holder: str | None
    ends_at: datetime | None = _utc_column(nullable=True)
    pruned: dict[str, int] = Field(sa_column=Column(JSON, nullable=False))


class Revision(SQLModel, table=True):
    """A counter that grows with every change of what it names, so that caches know they are old."""

    __tablename__: ClassVar[Any] = "revision"

    name: str = Field(primary_key=True)
    value: int
