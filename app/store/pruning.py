"""Removing what retention has found, a piece a transaction, by one process at a time."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, and_, delete, tuple_, update
from sqlmodel import Session, col, select

from app.store.retention import DeletedCounts, DeletionBatch, is_deletable
from app.store.tables import (
    Alert,
    AlertActivity,
    ApiKeyMinute,
    ExclusionRecord,
    GuideTick,
    Match,
    QuarantinedEvent,
    RetentionRun,
)

_ROW_ID = 1


def delete_batch(session: Session, batch: DeletionBatch) -> DeletedCounts:
    """Remove what of the piece may still go; what went."""
    deleted = DeletedCounts(
        quarantined=_delete_where(
            session, QuarantinedEvent, col(QuarantinedEvent.id).in_(batch.quarantine_ids)
        ),
        suppressed=_delete_where(
            session,
            Match,
            and_(
                col(Match.id).in_(batch.suppressed_match_ids), col(Match.exclusion_id).is_not(None)
            ),
        ),
        minutes=_delete_where(
            session,
            ApiKeyMinute,
            tuple_(col(ApiKeyMinute.key_id), col(ApiKeyMinute.minute)).in_(batch.traffic_minutes),
        ),
    )
    if batch.partial_alert_id is not None and _still_deletable(
        session, [batch.partial_alert_id], batch.closed_before
    ):
        of_it = and_(
            col(Match.id).in_(batch.partial_match_ids),
            col(Match.alert_id) == batch.partial_alert_id,
        )
        matches = _delete_where(session, Match, of_it)
        session.execute(
            update(Alert)
            .where(col(Alert.id) == batch.partial_alert_id)
            .values(match_count=Alert.match_count - matches)
        )
        deleted += DeletedCounts(matches=matches)
    if alerts := _still_deletable(session, batch.alert_ids, batch.closed_before):
        deleted += _delete_alerts(session, alerts)
    return deleted


def _still_deletable(session: Session, alerts: Sequence[int], before: datetime) -> list[int]:
    found = session.exec(select(Alert.id).where(col(Alert.id).in_(alerts), is_deletable(before)))
    return [row for row in found if row is not None]


def _delete_alerts(session: Session, alerts: Sequence[int]) -> DeletedCounts:
    matches = _delete_where(session, Match, col(Match.alert_id).in_(alerts))
    _delete_where(session, AlertActivity, col(AlertActivity.alert_id).in_(alerts))
    _delete_where(session, GuideTick, col(GuideTick.alert_id).in_(alerts))
    session.execute(
        update(Alert).where(col(Alert.previous_id).in_(alerts)).values(previous_id=None)
    )
    session.execute(
        update(ExclusionRecord)
        .where(col(ExclusionRecord.from_alert_id).in_(alerts))
        .values(from_alert_id=None)
    )
    return DeletedCounts(
        alerts=_delete_where(session, Alert, col(Alert.id).in_(alerts)), matches=matches
    )


def _delete_where(session: Session, table: Any, where: ColumnElement[bool]) -> int:
    result = session.execute(delete(table).where(where))
    return result.rowcount if isinstance(result, CursorResult) else 0


def acquire_lease(
    session: Session, holder: str, at: datetime, until: datetime
) -> DeletedCounts | None:
    """What an earlier run removed and did not live to tell; None when another is still at it."""
    run = session.get(RetentionRun, _ROW_ID)
    if run is None:
        run = RetentionRun(id=_ROW_ID, holder=None, ends_at=None, pruned={})
    elif run.holder is not None and run.ends_at is not None and run.ends_at > at:
        return None
    run.holder, run.ends_at = holder, until
    session.add(run)
    return DeletedCounts(**run.pruned)


def renew_lease(session: Session, holder: str, until: datetime, pruned: DeletedCounts) -> bool:
    """Note what went, in the transaction in which it goes; False when the turn is another's by now."""
    run = session.get(RetentionRun, _ROW_ID)
    if run is None or run.holder != holder:
        return False
    run.ends_at, run.pruned = until, asdict(pruned)
    session.add(run)
    return True


def release_lease(session: Session, holder: str) -> bool:
    """False when the turn is another's by now."""
    run = session.get(RetentionRun, _ROW_ID)
    if run is None or run.holder != holder:
        return False
    run.holder, run.ends_at, run.pruned = None, None, {}
    session.add(run)
    return True
