"""Queries for matches: find duplicates, insert, and list the matches of an alert, exclusion or rule."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, insert
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from app.store.database import chunks
from app.store.tables import Alert, Match, metadata

# (id of the API key, event id, rule id). No two stored matches have the same identity.
MatchIdentity = tuple[int, str, str]

_TABLE = metadata.tables["rule_match"]
_STORED_IDENTITIES = sql_select(_TABLE.c.key_id, _TABLE.c.event_id, _TABLE.c.rule_id).where(
    _TABLE.c.key_id == bindparam("key"),
    _TABLE.c.event_id.in_(bindparam("event_ids", expanding=True)),
)


def stored_identities(session: Session, identities: Iterable[MatchIdentity]) -> set[MatchIdentity]:
    """Return the identities of all stored matches of the events in `identities`.

    The pair (key id, event id) identifies an event. The rule ids are not compared. Therefore the result can
    contain identities that are not in `identities`.
    """
    by_key: dict[int, set[str]] = {}
    for key_id, event_id, _ in identities:
        by_key.setdefault(key_id, set()).add(event_id)
    connection = session.connection()
    stored: set[MatchIdentity] = set()
    for key_id, event_ids in by_key.items():
        for chunk in chunks(sorted(event_ids)):
            # One query per key lets the database use the unique index, which begins with `key_id`.
            rows = connection.execute(_STORED_IDENTITIES, {"key": key_id, "event_ids": chunk})
            stored.update((row[0], row[1], row[2]) for row in rows)
    return stored


def insert_many(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Insert one match for each row. Each row has every column except `id`.

    The statement uses SQLAlchemy Core, because the ORM takes four times as long.
    """
    if rows:
        session.connection().execute(insert(_TABLE), list(rows))


def get(session: Session, match_id: int) -> Match | None:
    return session.get(Match, match_id)


def displayed_match(session: Session, alert: Alert) -> Match | None:
    """Return the match whose summary the alert displays."""
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
    """Return at most `limit` matches of the alert, newest first.

    If `before` is not None, only matches with an id below `before` are returned.
    """
    return _list_newest(session, col(Match.alert_id) == alert_id, before=before, limit=limit)


def list_by_exclusion(
    session: Session, exclusion_id: int, *, before: int | None, limit: int
) -> list[Match]:
    """Return at most `limit` matches that the exclusion suppressed, newest first.

    If `before` is not None, only matches with an id below `before` are returned.
    """
    return _list_newest(
        session, col(Match.exclusion_id) == exclusion_id, before=before, limit=limit
    )


def _list_newest(
    session: Session, condition: ColumnElement[bool], *, before: int | None, limit: int
) -> list[Match]:
    query = select(Match).where(condition)
    if before is not None:
        query = query.where(col(Match.id) < before)
    return list(session.exec(query.order_by(col(Match.id).desc()).limit(limit)))


def list_by_rule(session: Session, rule_id: str, *, since: datetime, limit: int) -> list[Match]:
    """Return at most `limit` matches of the rule that were received at `since` or later, newest first."""
    query = select(Match).where(Match.rule_id == rule_id, Match.received_at >= since)
    return list(session.exec(query.order_by(col(Match.id).desc()).limit(limit)))


def suppression_counts(session: Session) -> dict[int, tuple[int, datetime]]:
    """Return (number of suppressed matches, time when the newest was received) by exclusion id.

    Exclusions that have suppressed no match are absent.
    """
    rows = session.exec(
        select(Match.exclusion_id, func.count(), func.max(Match.received_at))
        .where(col(Match.exclusion_id).is_not(None))
        .group_by(col(Match.exclusion_id))
    )
    return {int(row[0]): (row[1], row[2]) for row in rows if row[0] is not None}
