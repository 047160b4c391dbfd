"""Matches: which are known, which belong to an alert, which an exclusion suppressed."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from app.store.database import chunks
from app.store.tables import Alert, Match, metadata

# What makes a match the same match: key, event id, rule.
MatchIdentity = tuple[int, str, str]

_TABLE = metadata.tables["rule_match"]
_STORED_IDENTITIES = sql_select(_TABLE.c.key_id, _TABLE.c.event_id, _TABLE.c.rule_id).where(
    _TABLE.c.key_id == bindparam("key"), _TABLE.c.event_id.in_(bindparam("events", expanding=True))
)


def stored_identities(session: Session, wanted: Iterable[MatchIdentity]) -> set[MatchIdentity]:
    """Those of `wanted` that are stored already."""
    by_key: dict[int, set[str]] = {}
    for key_id, event_id, _ in wanted:
        by_key.setdefault(key_id, set()).add(event_id)
    connection = session.connection()
    found: set[MatchIdentity] = set()
    for key_id, ids in by_key.items():
        for some in chunks(sorted(ids)):
            # With the key, since the index of what makes a match the same begins with it.
            asked = {"key": key_id, "events": some}
            found.update(
                (row[0], row[1], row[2]) for row in connection.execute(_STORED_IDENTITIES, asked)
            )
    return found


def insert_many(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Rows with every column but `id`; Core, since the ORM costs four times as much."""
    if rows:
        session.connection().execute(insert(_TABLE), list(rows))


def get(session: Session, match_id: int) -> Match | None:
    return session.get(Match, match_id)


def displayed_match(session: Session, alert: Alert) -> Match | None:
    """The match whose words the alert shows."""
    return session.exec(
        select(Match).where(
            Match.key_id == alert.shown_key_id,
            Match.event_id == alert.shown_event_id,
            Match.rule_id == alert.rule_id,
        )
    ).first()


def list_by_alert(
    session: Session, alert_id: int, *, before: int | None, limit: int
) -> list[Match]:
    """Newest first, those with an id below `before`."""
    query = select(Match).where(Match.alert_id == alert_id)
    if before is not None:
        query = query.where(col(Match.id) < before)
    return list(session.exec(query.order_by(col(Match.id).desc()).limit(limit)))


def list_by_exclusion(
    session: Session, exclusion_id: int, *, before: int | None, limit: int
) -> list[Match]:
    """What it suppressed, newest first, those with an id below `before`."""
    query = select(Match).where(Match.exclusion_id == exclusion_id)
    if before is not None:
        query = query.where(col(Match.id) < before)
    return list(session.exec(query.order_by(col(Match.id).desc()).limit(limit)))


def list_by_rule(session: Session, rule_id: str, *, since: datetime, limit: int) -> list[Match]:
    """Those received since then, newest first."""
    query = select(Match).where(Match.rule_id == rule_id, Match.received_at >= since)
    return list(session.exec(query.order_by(col(Match.id).desc()).limit(limit)))


def suppression_counts(session: Session) -> dict[int, tuple[int, datetime]]:
    """For each exclusion that ever suppressed a match: how many, and the newest receipt."""
    rows = session.exec(
        select(Match.exclusion_id, func.count(), func.max(Match.received_at))
        .where(col(Match.exclusion_id).is_not(None))
        .group_by(col(Match.exclusion_id))
    )
    return {int(row[0]): (row[1], row[2]) for row in rows if row[0] is not None}
