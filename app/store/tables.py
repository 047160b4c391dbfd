"""All tables of the database, in one module so that the schema can be read in one place.

The package `app.domain` defines the terms. Columns that record who made a change (`actor`, `closed_by`, …)
hold the user's name as text, so that later changes to the user do not affect the record. A column that holds
the id of another row, such as `alert_id`, is a foreign key.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
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

# All constraints get names, because Alembic can change or drop only named constraints and SQLite does
# not name constraints by itself.
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
    """A user. `password_hash` is None until an invited user sets a password."""

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
    """A session of a signed-in browser; `token_hash` is the SHA-256 of the session cookie."""

    __tablename__: ClassVar[Any] = "login_session"

    token_hash: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user_account.id", index=True)
    created_at: datetime = _utc_column()
    seen_at: datetime = _utc_column()
    ends_at: datetime = _utc_column(index=True)
    address: str
    browser: str


class OneTimeLink(SQLModel, table=True):
    """A link that works once.

    `purpose` is "first_admin" (create the first admin), "invite" (set a password) or "enter" (sign in).
    """

    __tablename__: ClassVar[Any] = "one_time_link"

    token_hash: str = Field(primary_key=True)
    purpose: str
    user_id: int | None = Field(foreign_key="user_account.id", index=True)
    created_at: datetime = _utc_column()
    ends_at: datetime = _utc_column()
    used_at: datetime | None = _utc_column(nullable=True)


class ApiKey(SQLModel, table=True):
    """An API key.

    `key_hash` is the SHA-256 of the key, which needs no salt because the key contains 256 random bits.
    `hint` holds the last four characters of the key.
    """

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
    """Traffic counts of one API key in one minute.

    `seen_at` is the time when the newest request of that minute was received.
    """

    __tablename__: ClassVar[Any] = "key_minute"

    key_id: int = Field(foreign_key="api_key.id", primary_key=True)
    minute: datetime = Field(sa_type=UtcDateTime, primary_key=True)
    seen_at: datetime = _utc_column()
    received: int = Field(sa_type=BigInteger)
    matched: int = Field(sa_type=BigInteger)
    suppressed: int = Field(sa_type=BigInteger)
    duplicates: int = Field(sa_type=BigInteger)
    rejected: int = Field(sa_type=BigInteger)
    bytes: int = Field(sa_type=BigInteger)


class Alert(SQLModel, table=True):
    """An alert: one or more matches with the same fingerprint.

    New matches with this fingerprint are added to the alert until the alert is closed.

    `fingerprint` is a hash of the rule id and of the host, container, user, process and SSH destination of
    the match. `version` is incremented with every change by a user, so that a change based on an older
    version can be refused. The columns from `host` to `destination` come from the first match; lists and
    filters use these columns.
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
    # The priority is the sum of "points" over these factors, clamped to 0 to 100. Each factor is an object
    # {"why", "points", "history"}: "why" is its label, and "history" is true if the factor comes from the
    # verdict of the previous alert.
    priority_parts: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    first_seen: datetime = _utc_column()
    last_seen: datetime = _utc_column()
    match_count: int
    assignee_id: int | None = Field(foreign_key="user_account.id", index=True)
    verdict: str | None
    reason: str | None = Field(sa_type=Text)
    closed_at: datetime | None = _utc_column(nullable=True)
    closed_by: str | None
    # Id of the previous alert. When this alert was opened, the previous alert was the newest closed alert
    # with the same fingerprint.
    previous_id: int | None = Field(foreign_key="alert.id", index=True)
    # API key and event id of the displayed match, which is the match with the highest priority. The columns
    # `severity`, `priority`, `headline`, `command_line`, `ssh_role`, `chips` and `search_text` describe this
    # match.
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
    # Facts about the SSH command line of the displayed match, such as "remote forward". Only facts with a
    # risk above 0 are stored, at most 12. Each fact is an object {"label", "risk", "title"}: "title" is a
    # sentence that explains the fact.
    chips: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    # Case-folded text that the search in the alert list compares with the words of the query.
    search_text: str = Field(sa_type=Text)


class Match(SQLModel, table=True):
    """An event that matched a rule; `event` holds the bytes as the agent sent them.

    A suppressed match belongs to the exclusion that suppressed the match. `exclusion_version` is the version
    of this exclusion at that time. Every other match belongs to an alert.
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
    """A change of an alert, or a comment on it."""

    __tablename__: ClassVar[Any] = "alert_activity"
    __table_args__ = (Index("ix_alert_activity_alert_id", "alert_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    alert_id: int = Field(foreign_key="alert.id")
    at: datetime = _utc_column()
    actor: str
    kind: str
    # The meaning of `before` and `after` depends on `kind`:
    #   opened:                 id of the previous alert | verdict of the previous alert
    #   acknowledged, reopened: old status | new status
    #   closed:                 old status | verdict (`comment` holds the reason)
    #   assigned:               old assignee | new assignee (user names; None if unassigned)
    #   ticked, unticked:       None | title of the guide step
    #   excluded:               None | id of the exclusion (`comment` holds its reason)
    #   commented:              None | None
    before: str | None
    after: str | None = Field(sa_type=Text)
    comment: str | None = Field(sa_type=Text)


class GuideTick(SQLModel, table=True):
    """A step of the rule's investigation guide that a user has marked as done for an alert.

    `part` is "triage", "false_positives" or "response"; `step_key` identifies the step within the part.
    """

    __tablename__: ClassVar[Any] = "guide_tick"

    alert_id: int = Field(foreign_key="alert.id", primary_key=True)
    part: str = Field(primary_key=True)
    step_key: str = Field(primary_key=True)
    actor: str
    at: datetime = _utc_column()


class ExclusionRecord(SQLModel, table=True):
    """An exclusion, which suppresses matches of one rule.

    `live_version` is the number of the version that was approved last, or None if none was approved. This
    version suppresses matches until it expires or a user ends the exclusion.
    """

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
    """A version of an exclusion, as it was proposed.

    After the insert, only the columns `decision`, `decided_by` and `decided_at` change.
    """

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
    """A rule that a user has enabled or disabled.

    If a rule has no row in this table, the rule file says whether the rule is enabled.

    `version` is incremented with every change, so that a change based on an older version can be refused.
    """

    __tablename__: ClassVar[Any] = "rule_switch"

    rule_id: str = Field(primary_key=True)
    enabled: bool
    version: int
    changed_at: datetime = _utc_column()
    changed_by: str


class QuarantinedEvent(SQLModel, table=True):
    """A rejected event: its bytes and the reason for the rejection.

    The same bytes of a key are one row. The key has sent them `count` times, from `received_at` to
    `last_received_at`. `digest` is the SHA-256 of the bytes.
    """

    __tablename__: ClassVar[Any] = "quarantine"
    __table_args__ = (UniqueConstraint("key_id", "digest"),)

    id: int | None = Field(default=None, primary_key=True)
    key_id: int = Field(foreign_key="api_key.id", index=True)
    digest: bytes = Field(sa_type=LargeBinary)
    count: int = Field(sa_type=BigInteger)
    received_at: datetime = _utc_column()
    last_received_at: datetime = _utc_column(index=True)
    reason: str = Field(sa_type=Text)
    event: bytes = Field(sa_type=LargeBinary)


class AuditEntry(SQLModel, table=True):
    """An entry of the audit log.

    `entry_hash` covers `previous_hash`, the hash of the previous entry. Therefore a change or deletion of an
    entry can be detected.
    """

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
    """The lease that lets one process at a time delete expired rows. The table has at most one row.

    `pruned` holds the numbers of deleted rows that are not recorded in the audit log yet.
    """

    __tablename__: ClassVar[Any] = "retention_run"

    id: int = Field(primary_key=True)
    holder: str | None
    ends_at: datetime | None = _utc_column(nullable=True)
    pruned: dict[str, int] = Field(sa_column=Column(JSON, nullable=False))


class Revision(SQLModel, table=True):
    """A change counter.

    A cache remembers the value that the counter had when the cache was loaded. If the counter now has a
    different value, the cache is outdated.
    """

    __tablename__: ClassVar[Any] = "revision"

    name: str = Field(primary_key=True)
    value: int
