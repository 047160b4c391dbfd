"""Events that could not be read, with their bytes; lists take only the beginning of those."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, delete, func, insert
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from app.store.tables import ApiKey, QuarantinedEvent

# Counting and looking through stop here, so that neither grows with a flood of broken events.
COUNT_LIMIT = 10_000
SCAN_LIMIT = 20_000


def insert_many(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        session.execute(insert(QuarantinedEvent), list(rows))


def get(session: Session, quarantine_id: int) -> QuarantinedEvent | None:
    return session.get(QuarantinedEvent, quarantine_id)


@dataclass(frozen=True, slots=True)
class QuarantineFilter:
    """`reason` is a part of the reason; only ids below `before` and not above `up_to` count."""

    key_id: int | None = None
    reason: str = ""
    before: int | None = None
    up_to: int | None = None


@dataclass(frozen=True, slots=True)
class QuarantinePreview:
    """An event without most of its bytes."""

    id: int
    key_id: int
    received_at: datetime
    reason: str
    size: int
    first_bytes: bytes


@dataclass(frozen=True, slots=True)
class QuarantineSearchResult:
    """Ids, newest first. `before` leads on to older ones, None at the end; when they are fewer than
    asked for and it is not None, LOOKED_THROUGH were looked through.
    """

    ids: tuple[int, ...]
    next_before: int | None


def search(session: Session, filters: QuarantineFilter, limit: int) -> QuarantineSearchResult:
    window = sql_select(col(QuarantinedEvent.id), col(QuarantinedEvent.reason))
    if filters.key_id is not None:
        window = window.where(col(QuarantinedEvent.key_id) == filters.key_id)
    if filters.before is not None:
        window = window.where(col(QuarantinedEvent.id) < filters.before)
    if filters.up_to is not None:
        window = window.where(col(QuarantinedEvent.id) <= filters.up_to)
    most = SCAN_LIMIT if filters.reason else limit + 1
    within = window.order_by(col(QuarantinedEvent.id).desc()).limit(most).subquery()
    fitting = sql_select(within.c.id).order_by(within.c.id.desc()).limit(limit + 1)
    if filters.reason:
        fitting = fitting.where(within.c.reason.icontains(filters.reason, autoescape=True))
    ids = [int(row[0]) for row in session.execute(fitting)]
    if len(ids) > limit:
        return QuarantineSearchResult(tuple(ids[:limit]), ids[limit - 1])
    last = None
    if filters.reason:
        seen, oldest = session.execute(
            sql_select(func.count(), func.min(within.c.id)).select_from(within)
        ).one()
        last = int(oldest) if seen == SCAN_LIMIT else None
    return QuarantineSearchResult(tuple(ids), last)


def list_previews(session: Session, ids: Collection[int], most: int) -> list[QuarantinePreview]:
    """These events with at most `most` of their bytes, newest first."""
    event = col(QuarantinedEvent.event)
    rows = session.execute(
        sql_select(
            col(QuarantinedEvent.id),
            col(QuarantinedEvent.key_id),
            col(QuarantinedEvent.received_at),
            col(QuarantinedEvent.reason),
            func.length(event),
            func.substr(event, 1, most, type_=LargeBinary),
        )
        .where(col(QuarantinedEvent.id).in_(ids))
        .order_by(col(QuarantinedEvent.id).desc())
    )
    return [QuarantinePreview(*row) for row in rows]


def delete_many(session: Session, ids: Collection[int]) -> None:
    session.execute(delete(QuarantinedEvent).where(col(QuarantinedEvent.id).in_(ids)))


def existing_ids(session: Session, ids: Collection[int]) -> set[int]:
    """Those of the ids that are still there."""
    rows = session.exec(select(QuarantinedEvent.id).where(col(QuarantinedEvent.id).in_(ids)))
    return {row for row in rows if row is not None}


def set_reason(session: Session, quarantine_id: int, reason: str) -> None:
    row = session.get(QuarantinedEvent, quarantine_id)
    if row is not None:
        row.reason = reason
        session.add(row)


def count(session: Session, key_id: int | None = None) -> int:
    """How many there are, of one key or of all; COUNT_LIMIT + 1 for more than COUNT_LIMIT."""
    some = select(QuarantinedEvent.id)
    if key_id is not None:
        some = some.where(QuarantinedEvent.key_id == key_id)
    within = some.limit(COUNT_LIMIT + 1).subquery()
    return session.exec(select(func.count()).select_from(within)).one()


def counts_by_key(session: Session) -> dict[int, int]:
    """How many each key has there, COUNT_LIMIT + 1 for more than COUNT_LIMIT."""
    some = (
        sql_select(col(QuarantinedEvent.id))
        .where(col(QuarantinedEvent.key_id) == col(ApiKey.id))
        .limit(COUNT_LIMIT + 1)
        .correlate(ApiKey)
        .subquery()
    )
    counted = sql_select(func.count()).select_from(some).scalar_subquery()
    rows = session.execute(sql_select(col(ApiKey.id), counted))
    return {int(key_id): kept for key_id, kept in rows if kept}


def newest_reasons(session: Session, key_id: int | None, most: int) -> list[str]:
    """The reasons of the newest `most` events, of one key or of all."""
    query = select(QuarantinedEvent.reason)
    if key_id is not None:
        query = query.where(QuarantinedEvent.key_id == key_id)
    return list(session.exec(query.order_by(col(QuarantinedEvent.id).desc()).limit(most)))
