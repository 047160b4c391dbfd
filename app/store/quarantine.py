"""Queries for quarantined events: add, search, preview, count and delete.

A quarantined event is a rejected event, stored with the reason for the rejection. Previews contain only the
first bytes of an event, because events can be very long.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import LargeBinary, bindparam, delete, func, insert, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from app.store.tables import ApiKey, QuarantinedEvent, metadata

# Counting stops after COUNT_LIMIT events, and a search by reason stops after SCAN_LIMIT events. Therefore
# both are fast even if very many events were rejected.
COUNT_LIMIT = 10_000
SCAN_LIMIT = 20_000
MAX_DIGESTS_PER_QUERY = 500


@dataclass(frozen=True, slots=True)
class NewQuarantinedEvent:
    """A rejected event to store. `digest` is the SHA-256 of the bytes `event`."""

    digest: bytes
    reason: str
    event: bytes


_TABLE = metadata.tables["quarantine"]
_COUNT_REPETITION = (
    update(_TABLE)
    .where(
        _TABLE.c.key_id == bindparam("where_key_id"), _TABLE.c.digest == bindparam("where_digest")
    )
    .values(count=_TABLE.c.count + bindparam("repetitions"), last_received_at=bindparam("at"))
)


def add_many(
    session: Session, key_id: int, events: Sequence[NewQuarantinedEvent], at: datetime
) -> frozenset[bytes]:
    """Store rejected events of one key, which were received at `at`.

    The same bytes of a key are stored once and counted. Return the digests that were stored before.
    """
    counts = Counter(event.digest for event in events)
    stored = _stored_digests(session, key_id, list(counts))
    if stored:
        session.connection().execute(
            _COUNT_REPETITION,
            [
                {
                    "where_key_id": key_id,
                    "where_digest": digest,
                    "repetitions": counts[digest],
                    "at": at,
                }
                for digest in sorted(stored)
            ],
        )
    new: dict[bytes, NewQuarantinedEvent] = {}
    for event in events:
        if event.digest not in stored:
            new.setdefault(event.digest, event)
    if new:
        session.execute(
            insert(QuarantinedEvent),
            [
                {
                    "key_id": key_id,
                    "digest": digest,
                    "reason": event.reason,
                    "event": event.event,
                    "count": counts[digest],
                    "received_at": at,
                    "last_received_at": at,
                }
                for digest, event in new.items()
            ],
        )
    return stored


def _stored_digests(session: Session, key_id: int, digests: Sequence[bytes]) -> frozenset[bytes]:
    stored: set[bytes] = set()
    for start in range(0, len(digests), MAX_DIGESTS_PER_QUERY):
        chunk = digests[start : start + MAX_DIGESTS_PER_QUERY]
        stored.update(
            session.exec(
                select(QuarantinedEvent.digest).where(
                    QuarantinedEvent.key_id == key_id, col(QuarantinedEvent.digest).in_(chunk)
                )
            )
        )
    return frozenset(stored)


def get(session: Session, quarantine_id: int) -> QuarantinedEvent | None:
    return session.get(QuarantinedEvent, quarantine_id)


@dataclass(frozen=True, slots=True)
class QuarantineFilter:
    """Filter of quarantined events. An attribute that is None or empty does not filter.

    - `key_id`: the event was sent with this API key
    - `reason`: the reason of the event contains this text
    - `before`: the id of the event is below this id (for pagination)
    - `up_to`: the id of the event is at most this id (for bulk actions)

    For a bulk action, `up_to` is the newest id that existed when the user loaded the page. Events that were
    quarantined later have higher ids, so the action does not affect these events.
    """

    key_id: int | None = None
    reason: str = ""
    before: int | None = None
    up_to: int | None = None


@dataclass(frozen=True, slots=True)
class QuarantinePreview:
    """A quarantined event with only its first bytes; `size` is its full length in bytes.

    The key has sent these bytes `count` times, from `received_at` to `last_received_at`.
    """

    id: int
    key_id: int
    received_at: datetime
    last_received_at: datetime
    count: int
    reason: str
    size: int
    first_bytes: bytes


@dataclass(frozen=True, slots=True)
class QuarantineSearchResult:
    """The ids of the events that a search found, newest first.

    `next_before` is the value of `before` for the next page, or None on the last page. For one page, a search
    by reason examines at most SCAN_LIMIT events. Therefore a page can contain few ids or no id although there
    is a next page.
    """

    ids: tuple[int, ...]
    next_before: int | None


def search(session: Session, filters: QuarantineFilter, limit: int) -> QuarantineSearchResult:
    """Return the ids of at most `limit` events that match `filters`, newest first."""
    window = sql_select(col(QuarantinedEvent.id), col(QuarantinedEvent.reason))
    if filters.key_id is not None:
        window = window.where(col(QuarantinedEvent.key_id) == filters.key_id)
    if filters.before is not None:
        window = window.where(col(QuarantinedEvent.id) < filters.before)
    if filters.up_to is not None:
        window = window.where(col(QuarantinedEvent.id) <= filters.up_to)
    scan_limit = SCAN_LIMIT if filters.reason else limit + 1
    scanned = window.order_by(col(QuarantinedEvent.id).desc()).limit(scan_limit).subquery()
    matching = sql_select(scanned.c.id).order_by(scanned.c.id.desc()).limit(limit + 1)
    if filters.reason:
        matching = matching.where(scanned.c.reason.icontains(filters.reason, autoescape=True))
    ids = [int(row[0]) for row in session.execute(matching)]
    if len(ids) > limit:
        return QuarantineSearchResult(tuple(ids[:limit]), ids[limit - 1])
    next_before = None
    if filters.reason:
        scanned_count, oldest = session.execute(
            sql_select(func.count(), func.min(scanned.c.id)).select_from(scanned)
        ).one()
        next_before = int(oldest) if scanned_count == SCAN_LIMIT else None
    return QuarantineSearchResult(tuple(ids), next_before)


def list_previews(
    session: Session, ids: Collection[int], max_bytes: int
) -> list[QuarantinePreview]:
    """Return the events with these ids, newest first, each with at most its first `max_bytes` bytes."""
    event = col(QuarantinedEvent.event)
    rows = session.execute(
        sql_select(
            col(QuarantinedEvent.id),
            col(QuarantinedEvent.key_id),
            col(QuarantinedEvent.received_at),
            col(QuarantinedEvent.last_received_at),
            col(QuarantinedEvent.count),
            col(QuarantinedEvent.reason),
            func.length(event),
            func.substr(event, 1, max_bytes, type_=LargeBinary),
        )
        .where(col(QuarantinedEvent.id).in_(ids))
        .order_by(col(QuarantinedEvent.id).desc())
    )
    return [QuarantinePreview(*row) for row in rows]


def delete_many(session: Session, ids: Collection[int]) -> None:
    session.execute(delete(QuarantinedEvent).where(col(QuarantinedEvent.id).in_(ids)))


def existing_ids(session: Session, ids: Collection[int]) -> set[int]:
    """Return the ids among `ids` whose events are still in quarantine."""
    rows = session.exec(select(QuarantinedEvent.id).where(col(QuarantinedEvent.id).in_(ids)))
    return {row for row in rows if row is not None}


def set_reason(session: Session, quarantine_id: int, reason: str) -> None:
    row = session.get(QuarantinedEvent, quarantine_id)
    if row is not None:
        row.reason = reason
        session.add(row)


def count(session: Session, key_id: int | None = None) -> int:
    """Count the events of one key, or of all keys if `key_id` is None.

    The result COUNT_LIMIT + 1 means more than COUNT_LIMIT events.
    """
    query = select(QuarantinedEvent.id)
    if key_id is not None:
        query = query.where(QuarantinedEvent.key_id == key_id)
    counted = query.limit(COUNT_LIMIT + 1).subquery()
    return session.exec(select(func.count()).select_from(counted)).one()


def counts_by_key(session: Session) -> dict[int, int]:
    """Return the number of quarantined events by key id; keys without quarantined events are absent.

    The number COUNT_LIMIT + 1 means more than COUNT_LIMIT events.
    """
    key_events = (
        sql_select(col(QuarantinedEvent.id))
        .where(col(QuarantinedEvent.key_id) == col(ApiKey.id))
        .limit(COUNT_LIMIT + 1)
        .correlate(ApiKey)
        .subquery()
    )
    event_count = sql_select(func.count()).select_from(key_events).scalar_subquery()
    rows = session.execute(sql_select(col(ApiKey.id), event_count))
    return {int(key_id): count for key_id, count in rows if count}


def newest_reasons(session: Session, key_id: int | None, limit: int) -> list[str]:
    """Return the reasons of the newest `limit` events of one key, or of all keys if `key_id` is None."""
    query = select(QuarantinedEvent.reason)
    if key_id is not None:
        query = query.where(QuarantinedEvent.key_id == key_id)
    return list(session.exec(query.order_by(col(QuarantinedEvent.id).desc()).limit(limit)))
