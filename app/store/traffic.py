"""Traffic of API keys: counts per minute, and the times of stored matches.

A match has two times: the time when its event occurred, and the time when the event was received.

The queries are fast because they read few rows. Counts are read from the table ApiKeyMinute, which has one
row for each API key and minute. A query for match times reads a limited number of matches.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, case, func, insert, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from app.domain.traffic import MINUTE, TrafficMinute
from app.store.tables import Alert, ApiKey, ApiKeyMinute, Match, metadata

COUNTER_FIELDS = ("received", "matched", "suppressed", "duplicates", "rejected", "bytes")
MAX_COUNT = 2**63 - 1
"""The largest integer of SQLite and of PostgreSQL's type bigint."""


@dataclass(slots=True)
class TrafficCounts:
    """Traffic of one API key over a period.

    `received` and `rejected` count events; `matched`, `suppressed` and `duplicates` count matches. `bytes`
    is the size of the request bodies. `seen_at` is the time when the newest request was received.
    """

    received: int = 0
    matched: int = 0
    suppressed: int = 0
    duplicates: int = 0
    rejected: int = 0
    bytes: int = 0
    seen_at: datetime | None = None

    def add(self, more: "TrafficCounts") -> None:
        for name in COUNTER_FIELDS:
            setattr(self, name, getattr(self, name) + getattr(more, name))
        if more.seen_at and (self.seen_at is None or more.seen_at > self.seen_at):
            self.seen_at = more.seen_at


# This statement runs for every batch of events, so it uses SQLAlchemy Core, which is faster than the ORM.
_MINUTES = metadata.tables["key_minute"]
_SEEN_AT = bindparam("new_seen_at", type_=_MINUTES.c.seen_at.type)
_ADD_TRAFFIC = (
    update(_MINUTES)
    .where(
        _MINUTES.c.key_id == bindparam("where_key_id"),
        _MINUTES.c.minute == bindparam("where_minute"),
    )
    .values(
        seen_at=case((_MINUTES.c.seen_at < _SEEN_AT, _SEEN_AT), else_=_MINUTES.c.seen_at),
        **{
            name: case(
                (_MINUTES.c[name] > bindparam(f"limit_{name}"), MAX_COUNT),
                else_=_MINUTES.c[name] + bindparam(f"add_{name}"),
            )
            for name in COUNTER_FIELDS
        },
    )
)


def add_traffic(session: Session, key_id: int, minute: datetime, counts: TrafficCounts) -> None:
    """Add `counts` to the row of this key and minute; insert the row if it is missing.

    A count stops at MAX_COUNT. A larger number would be an error, and the events of the transaction would not
    be stored.
    """
    connection = session.connection()
    seen_at = counts.seen_at or minute
    row = {name: min(getattr(counts, name), MAX_COUNT) for name in COUNTER_FIELDS}
    parameters = {f"add_{name}": count for name, count in row.items()} | {
        f"limit_{name}": MAX_COUNT - count for name, count in row.items()
    }
    parameters |= {
        "where_key_id": key_id,
        "where_minute": minute,
        "new_seen_at": seen_at,
    }
    if connection.execute(_ADD_TRAFFIC, parameters).rowcount == 0:
        connection.execute(
            insert(_MINUTES), {**row, "key_id": key_id, "minute": minute, "seen_at": seen_at}
        )


@dataclass(frozen=True, slots=True)
class KeyTraffic:
    """The traffic of one API key over a period.

    `last_matched_at` is the newest minute in which the key sent a matching event. It is None if the key sent
    no matching event in the period.
    """

    counts: TrafficCounts
    last_matched_at: datetime | None


def last_seen_by_key(session: Session, key_id: int | None = None) -> dict[int, datetime]:
    """Return the time when the newest request was received, by key id.

    Keys that have sent no request are absent. If `key_id` is given, the result contains only this key.
    """
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
    return {int(id): seen_at for id, seen_at in session.execute(query) if id and seen_at}


def totals_by_key(
    session: Session, key_ids: Collection[int], *, since: datetime
) -> dict[int, KeyTraffic]:
    """Return the traffic at `since` or later, by key id; keys without traffic are absent."""
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
    traffic: dict[int, KeyTraffic] = {}
    for key_id, newest, *sums in rows:
        counts = TrafficCounts()
        for name, value in zip(COUNTER_FIELDS, sums, strict=True):
            setattr(counts, name, int(value))
        traffic[int(key_id)] = KeyTraffic(counts, newest)
    return traffic


def minutes_by_key(
    session: Session, key_ids: Collection[int], *, since: datetime
) -> dict[int, list[TrafficMinute]]:
    """Return the minutes with traffic at `since` or later, by key id; the oldest minute is first."""
    # The query reads columns, because loading a week of minutes as ORM objects takes several times as long.
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
    minutes: dict[int, list[TrafficMinute]] = {}
    for key_id, *columns in rows:
        minutes.setdefault(key_id, []).append(TrafficMinute(*columns))
    return minutes


def has_traffic_before(session: Session, key_id: int, when: datetime) -> bool:
    query = select(ApiKeyMinute.minute).where(
        ApiKeyMinute.key_id == key_id, ApiKeyMinute.minute < when
    )
    return session.exec(query.limit(1)).first() is not None


def minutes_with_matches(
    session: Session, key_id: int, *, since: datetime, limit: int
) -> list[datetime]:
    """Return at most `limit` minutes in which the key sent a matching event, newest first."""
    query = select(ApiKeyMinute.minute).where(
        ApiKeyMinute.key_id == key_id, ApiKeyMinute.minute >= since, ApiKeyMinute.matched > 0
    )
    return list(session.exec(query.order_by(col(ApiKeyMinute.minute).desc()).limit(limit)))


@dataclass(frozen=True, slots=True)
class MatchTiming:
    """The times of one match, and the host of its alert.

    `host` is None for a suppressed match, because such a match has no alert.
    """

    occurred_at: datetime | None
    received_at: datetime
    host: str | None


# Maximum number of matches that are read for one minute. The query first reads the matches of all API keys,
# and then selects the matches of one key. The limit keeps the query fast if many matches are in the minute.
_SCAN_LIMIT = 2_000


def match_timings(
    session: Session, key_id: int, matched_in: Sequence[datetime], *, limit: int
) -> list[MatchTiming]:
    """Return the timing of matches of one API key that were received in the minutes `matched_in`.

    The function reads one minute after another, in the order of `matched_in`. It stops when it has at least
    `limit` matches.
    """
    timings: list[MatchTiming] = []
    for minute in matched_in:
        minute_matches = (
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
            sql_select(minute_matches.c.occurred_at, minute_matches.c.received_at, col(Alert.host))
            .outerjoin_from(minute_matches, Alert, col(Alert.id) == minute_matches.c.alert_id)
            .where(minute_matches.c.key_id == key_id)
            .limit(limit)
        )
        timings += (MatchTiming(*row) for row in rows)
        if len(timings) >= limit:
            break
    return timings
