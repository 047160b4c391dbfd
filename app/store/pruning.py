"""Removing what retention has found, a piece a transaction, by one process at a time."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, and_, delete, tuple_, update
from sqlmodel import Session, col, select

from app.store.retention import Piece, Pruned, may_go
from app.store.tables import (
    Activity,
    Alert,
    ExclusionRecord,
    GuideTick,
    KeyMinute,
    Match,
    Quarantine,
    RetentionRun,
)

_THE_ROW = 1


def remove(session: Session, piece: Piece) -> Pruned:
    """Remove what of the piece may still go; what went."""
    went = Pruned(
        quarantined=_deleted(session, Quarantine, col(Quarantine.id).in_(piece.quarantined)),
        suppressed=_deleted(
            session,
            Match,
            and_(col(Match.id).in_(piece.suppressed), col(Match.exclusion_id).is_not(None)),
        ),
        minutes=_deleted(
            session,
            KeyMinute,
            tuple_(col(KeyMinute.key_id), col(KeyMinute.minute)).in_(piece.minutes),
        ),
    )
    if piece.thinned is not None and _still(session, [piece.thinned], piece.closed_before):
        of_it = and_(col(Match.id).in_(piece.matches), col(Match.alert_id) == piece.thinned)
        matches = _deleted(session, Match, of_it)
        session.execute(
            update(Alert)
            .where(col(Alert.id) == piece.thinned)
            .values(match_count=Alert.match_count - matches)
        )
        went += Pruned(matches=matches)
    if alerts := _still(session, piece.alerts, piece.closed_before):
        went += _remove_alerts(session, alerts)
    return went


def _still(session: Session, alerts: Sequence[int], before: datetime) -> list[int]:
    found = session.exec(select(Alert.id).where(col(Alert.id).in_(alerts), may_go(before)))
    return [row for row in found if row is not None]


def _remove_alerts(session: Session, alerts: Sequence[int]) -> Pruned:
    matches = _deleted(session, Match, col(Match.alert_id).in_(alerts))
    _deleted(session, Activity, col(Activity.alert_id).in_(alerts))
    _deleted(session, GuideTick, col(GuideTick.alert_id).in_(alerts))
    session.execute(
        update(Alert).where(col(Alert.previous_id).in_(alerts)).values(previous_id=None)
    )
    session.execute(
        update(ExclusionRecord)
        .where(col(ExclusionRecord.from_alert_id).in_(alerts))
        .values(from_alert_id=None)
    )
    return Pruned(alerts=_deleted(session, Alert, col(Alert.id).in_(alerts)), matches=matches)


def _deleted(session: Session, table: Any, where: ColumnElement[bool]) -> int:
    result = session.execute(delete(table).where(where))
    return result.rowcount if isinstance(result, CursorResult) else 0


def take_turn(session: Session, holder: str, at: datetime, until: datetime) -> Pruned | None:
    """What an earlier run removed and did not live to tell; None when another is still at it."""
    run = session.get(RetentionRun, _THE_ROW)
    if run is None:
        run = RetentionRun(id=_THE_ROW, holder=None, ends_at=None, pruned={})
    elif run.holder is not None and run.ends_at is not None and run.ends_at > at:
        return None
    run.holder, run.ends_at = holder, until
    session.add(run)
    return Pruned(**run.pruned)


def keep_turn(session: Session, holder: str, until: datetime, pruned: Pruned) -> bool:
    """Note what went, in the transaction in which it goes; False when the turn is another's by now."""
    run = session.get(RetentionRun, _THE_ROW)
    if run is None or run.holder != holder:
        return False
    run.ends_at, run.pruned = until, asdict(pruned)
    session.add(run)
    return True


def end_turn(session: Session, holder: str) -> bool:
    """False when the turn is another's by now."""
    run = session.get(RetentionRun, _THE_ROW)
    if run is None or run.holder != holder:
        return False
    run.holder, run.ends_at, run.pruned = None, None, {}
    session.add(run)
    return True
