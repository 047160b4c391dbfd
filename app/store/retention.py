"""Selection of expired rows, in batches that are small enough to delete in one short transaction.

Open and acknowledged alerts are kept with all their rows. A closed alert is kept while the `previous_id` of
an open or acknowledged alert refers to it. This module selects a batch in a reading transaction. The module
`pruning` then checks in a writing transaction that the alerts may still be deleted, and deletes the batch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.domain.alert import Status
from app.store import exclusions
from app.store.deleted_counts import DeletedCounts
from app.store.dialect import database_size
from app.store.exclusions import State
from app.store.tables import (
    Alert,
    ApiKey,
    ApiKeyMinute,
    ExclusionRecord,
    Match,
    QuarantinedEvent,
)

# Maximum size of all events in one batch. A large event occupies many pages of the database file, so a
# limit on the number of rows alone would not keep the transaction short.
MAX_BATCH_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """The times before which data expires, and the maximum size of the database.

    An alert expires if it was closed before `closed_before`. A suppressed match expires if it was received
    before `suppressed_before`. A quarantined event expires if it was last received before
    `quarantined_before`. The traffic counts of a minute expire if the minute is before `minutes_before`.
    `max_bytes` limits the used bytes of the database; None means no limit.
    """

    closed_before: datetime
    suppressed_before: datetime
    quarantined_before: datetime
    minutes_before: datetime
    max_bytes: int | None


@dataclass(frozen=True, slots=True)
class DeletionBatch:
    """Rows to delete in one transaction.

    The alerts in `alert_ids` are deleted with all their rows. If an alert has too many matches for one batch,
    `partial_alert_id` is the id of this alert. The batch then deletes only the matches in
    `partial_match_ids`, and a later batch deletes the alert. `traffic_minutes` contains (API key id, minute)
    for each row of traffic counts.

    Users can reopen an alert after the batch was selected. Therefore `delete_batch` checks each alert again
    with `is_deletable(closed_before)`. A reopened alert is kept with all its matches.
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
    """Return the next batch of rows to delete, or None if no row may be deleted.

    `rows` is the approximate maximum number of rows in the batch. Expired rows are selected first. A database
    above its maximum size also loses rows that have not expired: quarantined events, suppressed matches and
    closed alerts, the oldest first. Matches that a live exclusion suppressed are kept until they expire.
    """
    selectors: list[Callable[[], DeletionBatch | None]] = [
        lambda: _next_quarantined(session, limits.quarantined_before, rows),
        lambda: _next_minutes(session, limits.minutes_before, rows),
        lambda: _next_suppressed(session, _exclusion_ids(session), limits.suppressed_before, rows),
        lambda: _next_closed(session, limits.closed_before, rows),
    ]
    if exceeds_max_size(session, limits):
        selectors += [
            lambda: _next_quarantined(session, at, rows),
            lambda: _next_suppressed(session, _not_live_exclusion_ids(session, at), at, rows),
            lambda: _next_closed(session, at, rows),
        ]
    return next((batch for selector in selectors if (batch := selector()) is not None), None)


def exceeds_max_size(session: Session, limits: RetentionLimits) -> bool:
    return limits.max_bytes is not None and database_size(session).used_bytes > limits.max_bytes


def _take_within_max_bytes(rows: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """Return the ids of the first rows whose events have at most MAX_BATCH_BYTES bytes in total.

    Each row is (id, length of the event in bytes). The first id is returned even if the event of the first
    row is longer than MAX_BATCH_BYTES.
    """
    ids: list[int] = []
    total = 0
    for row_id, length in rows:
        total += length
        if ids and total > MAX_BATCH_BYTES:
            break
        ids.append(row_id)
    return tuple(ids)


def _next_quarantined(session: Session, before: datetime, rows: int) -> DeletionBatch | None:
    lengths = session.exec(
        select(QuarantinedEvent.id, func.length(QuarantinedEvent.event))
        .where(QuarantinedEvent.last_received_at < before)
        .order_by(col(QuarantinedEvent.last_received_at))
        .limit(rows)
    )
    ids = _take_within_max_bytes((row_id or 0, length) for row_id, length in lengths)
    return DeletionBatch(before, quarantine_ids=ids) if ids else None


def _next_minutes(session: Session, before: datetime, rows: int) -> DeletionBatch | None:
    """Select expired traffic counts of the first API key that has expired traffic counts.

    The newest row of each key is not selected. The `seen_at` of this row says when the key was last used.
    """
    for key_id in session.exec(select(ApiKey.id)).all():
        newest = select(func.max(ApiKeyMinute.minute)).where(ApiKeyMinute.key_id == key_id)
        minutes = session.exec(
            select(ApiKeyMinute.minute)
            .where(
                ApiKeyMinute.key_id == key_id,
                ApiKeyMinute.minute < before,
                col(ApiKeyMinute.minute) < newest.scalar_subquery(),
            )
            .order_by(col(ApiKeyMinute.minute))
            .limit(rows)
        ).all()
        if minutes and key_id is not None:
            return DeletionBatch(
                before, traffic_minutes=tuple((key_id, minute) for minute in minutes)
            )
    return None


def _exclusion_ids(session: Session) -> list[int]:
    rows = session.exec(select(ExclusionRecord.id))
    return [exclusion_id for exclusion_id in rows if exclusion_id is not None]


def _not_live_exclusion_ids(session: Session, at: datetime) -> list[int]:
    return [
        history.record.id
        for history in exclusions.list_all(session)
        if history.record.id is not None and history.state(at) is not State.LIVE
    ]


def _next_suppressed(
    session: Session, exclusion_ids: Sequence[int], before: datetime, rows: int
) -> DeletionBatch | None:
    for exclusion_id in exclusion_ids:
        # The order is by id instead of `received_at`, because an index covers (exclusion_id, id) and ids
        # ascend with the time of receipt.
        lengths = session.exec(
            select(Match.id, func.length(Match.event), Match.received_at)
            .where(Match.exclusion_id == exclusion_id)
            .order_by(col(Match.id))
            .limit(rows)
        )
        old = ((row_id or 0, length) for row_id, length, received in lengths if received < before)
        if ids := _take_within_max_bytes(old):
            return DeletionBatch(before, suppressed_match_ids=ids)
    return None


def is_deletable(before: datetime) -> ColumnElement[bool]:
    """Return the SQL condition that is true for alerts that may be deleted.

    The condition has two parts. The alert was closed before `before`. The `previous_id` of an open or
    acknowledged alert does not refer to the alert.
    """
    later_alert = aliased(Alert)
    is_referenced = (
        select(later_alert.id)
        .where(later_alert.previous_id == Alert.id, col(later_alert.status) != Status.CLOSED)
        .exists()
    )
    return and_(col(Alert.status) == Status.CLOSED, col(Alert.closed_at) < before, ~is_referenced)


def _next_closed(session: Session, before: datetime, rows: int) -> DeletionBatch | None:
    candidates = session.exec(
        select(Alert)
        .where(is_deletable(before))
        .order_by(col(Alert.closed_at), col(Alert.id))
        # The limit for alerts is lower than `rows`, because an alert has three times as many index entries as
        # a match.
        .limit(max(1, rows // 4))
    )
    alerts: list[int] = []
    total_matches = total_bytes = 0
    for alert in candidates:
        lengths = session.exec(
            select(Match.id, func.length(Match.event), Match.event_id, Match.key_id)
            .where(Match.alert_id == alert.id)
            .order_by(col(Match.id))
            .limit(rows + 1)
        ).all()
        event_bytes = sum(length for _, length, _, _ in lengths)
        if not alerts and (
            len(lengths) > rows or (event_bytes > MAX_BATCH_BYTES and len(lengths) > 1)
        ):
            # The match that the alert's page displays is kept until the alert itself is deleted.
            displayed = (alert.shown_event_id, alert.shown_key_id)
            old = ((row or 0, n) for row, n, *event in lengths if tuple(event) != displayed)
            return DeletionBatch(
                before, partial_alert_id=alert.id, partial_match_ids=_take_within_max_bytes(old)
            )
        total_matches += len(lengths)
        total_bytes += event_bytes
        if alerts and (total_matches > rows or total_bytes > MAX_BATCH_BYTES):
            break
        alerts.append(alert.id or 0)
    return DeletionBatch(before, alert_ids=tuple(alerts)) if alerts else None


def count_expired(session: Session, limits: RetentionLimits) -> DeletedCounts:
    """Count the expired rows.

    The result does not include rows that are deleted only because the database exceeds its maximum size.
    """
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
            .where(QuarantinedEvent.last_received_at < limits.quarantined_before),
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
