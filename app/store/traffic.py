"""What each key sent, minute by minute, and what its stored matches tell about it.

Every query is bounded: it looks up a key's own minutes, or a known number of matches.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from app.domain.traffic import MINUTE, Minute
from app.store.keys import COUNTERS, Traffic
from app.store.tables import Alert, Key, KeyMinute, Match


@dataclass(frozen=True, slots=True)
class Sent:
    """Sums of a while; `matched_at` is the newest minute in it that brought a match."""

    traffic: Traffic
    matched_at: datetime | None


def last_seen(session: Session, key_id: int | None = None) -> dict[int, datetime]:
    """The newest receipt of each key that ever sent something, or of this one."""
    newest = (
        sql_select(col(KeyMinute.seen_at))
        .where(col(KeyMinute.key_id) == col(Key.id))
        .order_by(col(KeyMinute.minute).desc())
        .limit(1)
        .correlate(Key)
        .scalar_subquery()
    )
    query = sql_select(col(Key.id), newest)
    if key_id is not None:
        query = query.where(col(Key.id) == key_id)
    return {int(one): seen_at for one, seen_at in session.execute(query) if one and seen_at}


def sums(session: Session, key_ids: Collection[int], *, since: datetime) -> dict[int, Sent]:
    """What each of the keys sent since then; one that sent nothing is not in it."""
    matched_at = func.max(case((col(KeyMinute.matched) > 0, col(KeyMinute.minute))))
    rows = session.execute(
        sql_select(
            col(KeyMinute.key_id),
            matched_at,
            *(func.sum(col(getattr(KeyMinute, name))) for name in COUNTERS),
        )
        .where(col(KeyMinute.key_id).in_(key_ids), col(KeyMinute.minute) > since - MINUTE)
        .group_by(col(KeyMinute.key_id))
    )
    found: dict[int, Sent] = {}
    for key_id, newest, *counted in rows:
        figures = Traffic()
        for name, value in zip(COUNTERS, counted, strict=True):
            setattr(figures, name, int(value))
        found[int(key_id)] = Sent(figures, newest)
    return found


def minutes(
    session: Session, key_ids: Collection[int], *, since: datetime
) -> dict[int, list[Minute]]:
    """The minutes of each key since then in which it sent something, oldest first."""
    # Core: a week of minutes as rows of the ORM costs several times as much.
    rows = session.execute(
        sql_select(
            col(KeyMinute.key_id),
            col(KeyMinute.minute),
            col(KeyMinute.received),
            col(KeyMinute.bytes),
            col(KeyMinute.matched),
            col(KeyMinute.duplicates),
            col(KeyMinute.rejected),
        )
        .where(col(KeyMinute.key_id).in_(key_ids), col(KeyMinute.minute) >= since)
        .order_by(col(KeyMinute.key_id), col(KeyMinute.minute))
    )
    found: dict[int, list[Minute]] = {}
    for key_id, *figures in rows:
        found.setdefault(key_id, []).append(Minute(*figures))
    return found


def spoke_before(session: Session, key_id: int, when: datetime) -> bool:
    query = select(KeyMinute.minute).where(KeyMinute.key_id == key_id, KeyMinute.minute < when)
    return session.exec(query.limit(1)).first() is not None


def matching_minutes(
    session: Session, key_id: int, *, since: datetime, limit: int
) -> list[datetime]:
    """The newest minutes in which the key brought a match, newest first."""
    query = select(KeyMinute.minute).where(
        KeyMinute.key_id == key_id, KeyMinute.minute >= since, KeyMinute.matched > 0
    )
    return list(session.exec(query.order_by(col(KeyMinute.minute).desc()).limit(limit)))


@dataclass(frozen=True, slots=True)
class Sample:
    """One match of a key. `host` is its alert's; what an exclusion suppressed has none."""

    occurred_at: datetime | None
    received_at: datetime
    host: str | None


# Matches of all keys that are looked at for one minute of one key: another key's flood may be in it.
_LOOKED_AT = 2_000


def samples(
    session: Session, key_id: int, matched_in: Sequence[datetime], *, limit: int
) -> list[Sample]:
    """Matches that the key brought in these minutes, about `limit` of them."""
    found: list[Sample] = []
    for minute in matched_in:
        within = (
            sql_select(
                col(Match.key_id),
                col(Match.occurred_at),
                col(Match.received_at),
                col(Match.alert_id),
            )
            .where(col(Match.received_at) >= minute, col(Match.received_at) < minute + MINUTE)
            .order_by(col(Match.received_at).desc())
            .limit(_LOOKED_AT)
            .subquery()
        )
        rows = session.execute(
            sql_select(within.c.occurred_at, within.c.received_at, col(Alert.host))
            .outerjoin_from(within, Alert, col(Alert.id) == within.c.alert_id)
            .where(within.c.key_id == key_id)
            .limit(limit)
        )
        found += (Sample(*row) for row in rows)
        if len(found) >= limit:
            break
    return found
