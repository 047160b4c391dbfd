"""Deletion of one batch of expired rows. The module `retention` selects the batches."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, and_, delete, tuple_, update
from sqlmodel import Session, col, select

from app.store.deleted_counts import DeletedCounts
from app.store.retention import DeletionBatch, is_deletable
from app.store.tables import (
    Alert,
    AlertActivity,
    ApiKeyMinute,
    ExclusionRecord,
    GuideTick,
    Match,
    QuarantinedEvent,
)


def delete_batch(session: Session, batch: DeletionBatch) -> DeletedCounts:
    """Delete the rows of `batch` that may still be deleted; return the numbers of deleted rows.

    The batch was selected in an earlier transaction, so users may have reopened some of its alerts.
    """
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
        matches = _delete_where(
            session,
            Match,
            and_(
                col(Match.id).in_(batch.partial_match_ids),
                col(Match.alert_id) == batch.partial_alert_id,
            ),
        )
        session.execute(
            update(Alert)
            .where(col(Alert.id) == batch.partial_alert_id)
            .values(match_count=Alert.match_count - matches)
        )
        deleted += DeletedCounts(matches=matches)
    if alert_ids := _still_deletable(session, batch.alert_ids, batch.closed_before):
        deleted += _delete_alerts(session, alert_ids)
    return deleted


def _still_deletable(session: Session, alert_ids: Sequence[int], before: datetime) -> list[int]:
    rows = session.exec(select(Alert.id).where(col(Alert.id).in_(alert_ids), is_deletable(before)))
    return [alert_id for alert_id in rows if alert_id is not None]


def _delete_alerts(session: Session, alert_ids: Sequence[int]) -> DeletedCounts:
    matches = _delete_where(session, Match, col(Match.alert_id).in_(alert_ids))
    _delete_where(session, AlertActivity, col(AlertActivity.alert_id).in_(alert_ids))
    _delete_where(session, GuideTick, col(GuideTick.alert_id).in_(alert_ids))
    session.execute(
        update(Alert).where(col(Alert.previous_id).in_(alert_ids)).values(previous_id=None)
    )
    session.execute(
        update(ExclusionRecord)
        .where(col(ExclusionRecord.from_alert_id).in_(alert_ids))
        .values(from_alert_id=None)
    )
    return DeletedCounts(
        alerts=_delete_where(session, Alert, col(Alert.id).in_(alert_ids)), matches=matches
    )


def _delete_where(session: Session, table: Any, where: ColumnElement[bool]) -> int:
    result = session.execute(delete(table).where(where))
    return result.rowcount if isinstance(result, CursorResult) else 0
