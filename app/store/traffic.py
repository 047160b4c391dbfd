"""What each key sent, minute by minute, and what its stored matches tell about it.

Every query is bounded: it looks up a key's own minutes, or a known number of matches.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from app.domain.traffic import MINUTE, TrafficMinute
from app.store.api_keys import COUNTER_FIELDS, TrafficCounts
from app.store.tables import Alert, ApiKey, ApiKeyMinute, Match


@dataclass(frozen=True, slots=True)
class KeyTraffic:
    """Sums of a while; `matched_at` is the newest minute in it that brought a match."""

    counts: TrafficCounts
    last_matched_at: datetime | None


def last_seen_by_key(session: Session, key_id: int | None = None) -> dict[int, datetime]:
    """The newest receipt of each key that ever sent something, or of this one."""
    newest = (
        sql_select(col(ApiKeyMinute.seen_at))
        .where(col(ApiKeyMinute.key_id) == col(ApiKey.id))
        .order_by(col(ApiKeyMinute.minute).desc())
        .limit(1)
        .correlate(ApiKey)
        .scalar_subquery()
    )
    query = sql_select(col(ApiKey.id), newest)
    if key_id is not None:
        query = query.where(col(ApiKey.id) == key_id)
    return {int(one): seen_at for one, seen_at in session.execute(query) if one and seen_at}


def totals_by_key(
    session: Session, key_ids: Collection[int], *, since: datetime
) -> dict[int, KeyTraffic]:
    """What each of the keys sent since then; one that sent nothing is not in it."""
    matched_at = func.max(case((col(ApiKeyMinute.matched) > 0, col(ApiKeyMinute.minute))))
    rows = session.execute(
        sql_select(
            col(ApiKeyMinute.key_id),
            matched_at,
            *(func.sum(col(getattr(ApiKeyMinute, name))) for name in COUNTER_FIELDS),
        )
        .where(col(ApiKeyMinute.key_id).in_(key_ids), col(ApiKeyMinute.minute) > since - MINUTE)
        .group_by(col(ApiKeyMinute.key_id))
    )
    found: dict[int, KeyTraffic] = {}
    for key_id, newest, *counted in rows:
        figures = TrafficCounts()
        for name, value in zip(COUNTER_FIELDS, counted, strict=True):
            setattr(figures, name, int(value))
        found[int(key_id)] = KeyTraffic(figures, newest)
    return found


def minutes_by_key(
    session: Session, key_ids: Collection[int], *, since: datetime
) -> dict[int, list[TrafficMinute]]:
    """The minutes of each key since then in which it sent something, oldest first."""
    # Core: a week of minutes as rows of the ORM costs several times as much.
    rows = session.execute(
        sql_select(
            col(ApiKeyMinute.key_id),
            col(ApiKeyMinute.minute),
            col(ApiKeyMinute.received),
            col(ApiKeyMinute.bytes),
            col(ApiKeyMinute.matched),
            col(ApiKeyMinute.duplicates),
            col(ApiKeyMinute.rejected),
        )
        .where(col(ApiKeyMinute.key_id).in_(key_ids), col(ApiKeyMinute.minute) >= since)
        .order_by(col(ApiKeyMinute.key_id), col(ApiKeyMinute.minute))
    )
    found: dict[int, list[TrafficMinute]] = {}
    for key_id, *figures in rows:
        found.setdefault(key_id, []).append(TrafficMinute(*figures))
    return found


def has_traffic_before(session: Session, key_id: int, when: datetime) -> bool:
    query = select(ApiKeyMinute.minute).where(
        ApiKeyMinute.key_id == key_id, ApiKeyMinute.minute < when
    )
    return session.exec(query.limit(1)).first() is not None


def minutes_with_matches(
    session: Session, key_id: int, *, since: datetime, limit: int
) -> list[datetime]:
    """The newest minutes in which the key brought a match, newest first."""
    query = select(ApiKeyMinute.minute).where(
        ApiKeyMinute.key_id == key_id, ApiKeyMinute.minute >= since, ApiKeyMinute.matched > 0
    )
    return list(session.exec(query.order_by(col(ApiKeyMinute.minute).desc()).limit(limit)))


@dataclass(frozen=True, slots=True)
class MatchTiming:
    """One match of a key. `host` is its alert's; what an exclusion suppressed has none."""

    occurred_at: datetime | None
    received_at: datetime
    host: str | None


# Matches of all keys that are looked at for one minute of one key: another key's flood may be in it.
_SCAN_LIMIT = 2_000


def match_timings(
    session: Session, key_id: int, matched_in: Sequence[datetime], *, limit: int
) -> list[MatchTiming]:
    """Matches that the key brought in these minutes, about `limit` of them."""
    found: list[MatchTiming] = []
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
            .limit(_SCAN_LIMIT)
            .subquery()
        )
        rows = session.execute(
            sql_select(within.c.occurred_at, within.c.received_at, col(Alert.host))
            .outerjoin_from(within, Alert, col(Alert.id) == within.c.alert_id)
            .where(within.c.key_id == key_id)
            .limit(limit)
        )
        found += (MatchTiming(*row) for row in rows)
        if len(found) >= limit:
            break
    return found
