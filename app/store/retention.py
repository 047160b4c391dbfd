"""What is too old, in pieces small enough for one short transaction each; `pruning` removes them.

Open and acknowledged alerts stay with all they have, and so does the closed alert that one of them names
as seen before. Pieces are looked for by readers and removed by a writer, which checks again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.domain.alert import Status
from app.store import exclusions
from app.store.exclusions import State
from app.store.size import database_size
from app.store.tables import (
    Alert,
    ApiKey,
    ApiKeyMinute,
    ExclusionRecord,
    Match,
    QuarantinedEvent,
)

# Large events are many pages of the database each, so that their number says little.
MAX_BATCH_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """What was closed or received before these goes; `most_bytes` is how much may stay, None for all."""

    closed_before: datetime
    suppressed_before: datetime
    quarantined_before: datetime
    minutes_before: datetime
    max_bytes: int | None


@dataclass(frozen=True, slots=True)
class DeletedCounts:
    """How many rows went. `matches` are those of alerts, `suppressed` those of exclusions."""

    alerts: int = 0
    matches: int = 0
    suppressed: int = 0
    quarantined: int = 0
    minutes: int = 0

    def __add__(self, more: "DeletedCounts") -> "DeletedCounts":
        return DeletedCounts(
            *(getattr(self, f.name) + getattr(more, f.name) for f in fields(DeletedCounts))
        )

    @property
    def total_rows(self) -> int:
        return sum(asdict(self).values())

    def describe(self) -> str:
        """Such as “2 closed alerts with 30 matches, 5 events in quarantine”."""
        parts = [
            f"{self.alerts:,} closed alerts with {self.matches:,} matches"
            if self.alerts or self.matches
            else "",
            f"{self.suppressed:,} suppressed matches" if self.suppressed else "",
            f"{self.quarantined:,} events in quarantine" if self.quarantined else "",
            f"{self.minutes:,} minutes of traffic figures" if self.minutes else "",
        ]
        return ", ".join(filter(None, parts)) or "nothing"


@dataclass(frozen=True, slots=True)
class DeletionBatch:
    """Rows that may go in one transaction. `alerts` go with all they have; `thinned` is a closed alert
    with too many matches for that, which loses `matches` now and goes later.
    """

    closed_before: datetime
    alert_ids: tuple[int, ...] = ()
    partial_alert_id: int | None = None
    partial_match_ids: tuple[int, ...] = ()
    suppressed_match_ids: tuple[int, ...] = ()
    quarantine_ids: tuple[int, ...] = ()
    traffic_minutes: tuple[tuple[int, datetime], ...] = ()


def next_batch(
    session: Session, limits: RetentionLimits, at: datetime, rows: int
) -> DeletionBatch | None:
    """About `rows` rows that may go now, None when there are no more; by age first, then by size."""
    ways: list[Callable[[], DeletionBatch | None]] = [
        lambda: _next_quarantined(session, limits.quarantined_before, rows),
        lambda: _next_minutes(session, limits.minutes_before, rows),
        lambda: _next_suppressed(session, _exclusion_ids(session), limits.suppressed_before, rows),
        lambda: _next_closed(session, limits.closed_before, rows),
    ]
    if exceeds_max_size(session, limits):
        ways += [
            lambda: _next_quarantined(session, at, rows),
            lambda: _next_suppressed(session, _not_live_exclusion_ids(session, at), at, rows),
            lambda: _next_closed(session, at, rows),
        ]
    return next((batch for way in ways if (batch := way()) is not None), None)


def exceeds_max_size(session: Session, limits: RetentionLimits) -> bool:
    return limits.max_bytes is not None and database_size(session).used_bytes > limits.max_bytes


def _take_within_max_bytes(found: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """The first ids of (id, bytes) that fit into a piece, at least one of them."""
    ids: list[int] = []
    total = 0
    for row_id, length in found:
        total += length
        if ids and total > MAX_BATCH_BYTES:
            break
        ids.append(row_id)
    return tuple(ids)


def _next_quarantined(session: Session, before: datetime, rows: int) -> DeletionBatch | None:
    found = session.exec(
        select(QuarantinedEvent.id, func.length(QuarantinedEvent.event))
        .where(QuarantinedEvent.received_at < before)
        .order_by(col(QuarantinedEvent.received_at))
        .limit(rows)
    )
    ids = _take_within_max_bytes((row_id or 0, length) for row_id, length in found)
    return DeletionBatch(before, quarantine_ids=ids) if ids else None


def _next_minutes(session: Session, before: datetime, rows: int) -> DeletionBatch | None:
    """Of each key all but the newest, which says when the key was last seen."""
    for key_id in session.exec(select(ApiKey.id)).all():
        newest = select(func.max(ApiKeyMinute.minute)).where(ApiKeyMinute.key_id == key_id)
        found = session.exec(
            select(ApiKeyMinute.minute)
            .where(
                ApiKeyMinute.key_id == key_id,
                ApiKeyMinute.minute < before,
                col(ApiKeyMinute.minute) < newest.scalar_subquery(),
            )
            .order_by(col(ApiKeyMinute.minute))
            .limit(rows)
        ).all()
        if found and key_id is not None:
            return DeletionBatch(
                before, traffic_minutes=tuple((key_id, minute) for minute in found)
            )
    return None


def _exclusion_ids(session: Session) -> list[int]:
    return [found for found in session.exec(select(ExclusionRecord.id)) if found is not None]


def _not_live_exclusion_ids(session: Session, at: datetime) -> list[int]:
    return [
        history.record.id
        for history in exclusions.list_all(session)
        if history.record.id is not None and history.state(at) is not State.LIVE
    ]


def _next_suppressed(
    session: Session, of: Sequence[int], before: datetime, rows: int
) -> DeletionBatch | None:
    for exclusion_id in of:
        # By id, which an index has for each exclusion, and which follows the receipt.
        found = session.exec(
            select(Match.id, func.length(Match.event), Match.received_at)
            .where(Match.exclusion_id == exclusion_id)
            .order_by(col(Match.id))
            .limit(rows)
        )
        old = ((row_id or 0, length) for row_id, length, received in found if received < before)
        if ids := _take_within_max_bytes(old):
            return DeletionBatch(before, suppressed_match_ids=ids)
    return None


def is_deletable(before: datetime) -> ColumnElement[bool]:
    """Closed before then, and not what an alert that is still worked on names as seen before."""
    after = aliased(Alert)
    leant_on = (
        select(after.id)
        .where(after.previous_id == Alert.id, col(after.status) != Status.CLOSED)
        .exists()
    )
    return and_(col(Alert.status) == Status.CLOSED, col(Alert.closed_at) < before, ~leant_on)


def _next_closed(session: Session, before: datetime, rows: int) -> DeletionBatch | None:
    candidates = session.exec(
        select(Alert)
        .where(is_deletable(before))
        .order_by(col(Alert.closed_at), col(Alert.id))
        .limit(max(1, rows // 4))  # an alert has two dozen index entries where a match has six
    )
    alerts: list[int] = []
    taken = weight = 0
    for alert in candidates:
        lengths = session.exec(
            select(Match.id, func.length(Match.event), Match.event_id, Match.key_id)
            .where(Match.alert_id == alert.id)
            .order_by(col(Match.id))
            .limit(rows + 1)
        ).all()
        total = sum(length for _, length, _, _ in lengths)
        if not alerts and (len(lengths) > rows or (total > MAX_BATCH_BYTES and len(lengths) > 1)):
            shown = (alert.shown_event_id, alert.shown_key_id)
            old = ((row or 0, n) for row, n, *event in lengths if tuple(event) != shown)
            return DeletionBatch(
                before, partial_alert_id=alert.id, partial_match_ids=_take_within_max_bytes(old)
            )
        taken, weight = taken + len(lengths), weight + total
        if alerts and (taken > rows or weight > MAX_BATCH_BYTES):
            break
        alerts.append(alert.id or 0)
    return DeletionBatch(before, alert_ids=tuple(alerts)) if alerts else None


def count_expired(session: Session, limits: RetentionLimits) -> DeletedCounts:
    """What would go by age."""
    alerts, matches = session.exec(
        select(func.count(), func.coalesce(func.sum(Alert.match_count), 0))
        .select_from(Alert)
        .where(is_deletable(limits.closed_before))
    ).one()
    return DeletedCounts(
        alerts=alerts,
        matches=int(matches),
        suppressed=_count(
            session,
            select(func.count())
            .select_from(Match)
            .where(
                col(Match.exclusion_id).is_not(None), Match.received_at < limits.suppressed_before
            ),
        ),
        quarantined=_count(
            session,
            select(func.count())
            .select_from(QuarantinedEvent)
            .where(QuarantinedEvent.received_at < limits.quarantined_before),
        ),
        minutes=_count_expired_minutes(session, limits.minutes_before),
    )


def _count(session: Session, query: SelectOfScalar[int]) -> int:
    return session.exec(query).one()


def _count_expired_minutes(session: Session, before: datetime) -> int:
    newest = (
        select(ApiKeyMinute.key_id, func.max(ApiKeyMinute.minute).label("minute"))
        .group_by(col(ApiKeyMinute.key_id))
        .subquery()
    )
    return session.exec(
        select(func.count())
        .select_from(ApiKeyMinute)
        .join(newest, newest.c.key_id == ApiKeyMinute.key_id)
        .where(ApiKeyMinute.minute < before, col(ApiKeyMinute.minute) < newest.c.minute)
    ).one()
