"""Events that could not be read, with their bytes; lists take only the beginning of those."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, delete, func, insert
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from app.store.tables import Key, Quarantine

# Counting and looking through stop here, so that neither grows with a flood of broken events.
COUNT_LIMIT = 10_000
LOOKED_THROUGH = 20_000


def insert_many(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        session.execute(insert(Quarantine), list(rows))


def get(session: Session, quarantine_id: int) -> Quarantine | None:
    return session.get(Quarantine, quarantine_id)


@dataclass(frozen=True, slots=True)
class QuarantineFilter:
    """`reason` is a part of the reason; only ids below `before` and not above `up_to` count."""

    key_id: int | None = None
    reason: str = ""
    before: int | None = None
    up_to: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """An event without most of its bytes."""

    id: int
    key_id: int
    received_at: datetime
    reason: str
    size: int
    start: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """Ids, newest first. `before` leads on to older ones, None at the end; when they are fewer than
    asked for and it is not None, LOOKED_THROUGH were looked through.
    """

    ids: tuple[int, ...]
    before: int | None


def search(session: Session, wanted: QuarantineFilter, limit: int) -> Found:
    window = sql_select(col(Quarantine.id), col(Quarantine.reason))
    if wanted.key_id is not None:
        window = window.where(col(Quarantine.key_id) == wanted.key_id)
    if wanted.before is not None:
        window = window.where(col(Quarantine.id) < wanted.before)
    if wanted.up_to is not None:
        window = window.where(col(Quarantine.id) <= wanted.up_to)
    most = LOOKED_THROUGH if wanted.reason else limit + 1
    within = window.order_by(col(Quarantine.id).desc()).limit(most).subquery()
    fitting = sql_select(within.c.id).order_by(within.c.id.desc()).limit(limit + 1)
    if wanted.reason:
        fitting = fitting.where(within.c.reason.icontains(wanted.reason, autoescape=True))
    ids = [int(row[0]) for row in session.execute(fitting)]
    if len(ids) > limit:
        return Found(tuple(ids[:limit]), ids[limit - 1])
    last = None
    if wanted.reason:
        seen, oldest = session.execute(
            sql_select(func.count(), func.min(within.c.id)).select_from(within)
        ).one()
        last = int(oldest) if seen == LOOKED_THROUGH else None
    return Found(tuple(ids), last)


def beginnings(session: Session, ids: Collection[int], most: int) -> list[Kept]:
    """These events with at most `most` of their bytes, newest first."""
    event = col(Quarantine.event)
    rows = session.execute(
        sql_select(
            col(Quarantine.id),
            col(Quarantine.key_id),
            col(Quarantine.received_at),
            col(Quarantine.reason),
            func.length(event),
            func.substr(event, 1, most, type_=LargeBinary),
        )
        .where(col(Quarantine.id).in_(ids))
        .order_by(col(Quarantine.id).desc())
    )
    return [Kept(*row) for row in rows]


def delete_many(session: Session, ids: Collection[int]) -> None:
    session.execute(delete(Quarantine).where(col(Quarantine.id).in_(ids)))


def present(session: Session, ids: Collection[int]) -> set[int]:
    """Those of the ids that are still there."""
    rows = session.exec(select(Quarantine.id).where(col(Quarantine.id).in_(ids)))
    return {row for row in rows if row is not None}


def set_reason(session: Session, quarantine_id: int, reason: str) -> None:
    row = session.get(Quarantine, quarantine_id)
    if row is not None:
        row.reason = reason
        session.add(row)


def total(session: Session, key_id: int | None = None) -> int:
    """How many there are, of one key or of all; COUNT_LIMIT + 1 for more than COUNT_LIMIT."""
    some = select(Quarantine.id)
    if key_id is not None:
        some = some.where(Quarantine.key_id == key_id)
    within = some.limit(COUNT_LIMIT + 1).subquery()
    return session.exec(select(func.count()).select_from(within)).one()


def counts(session: Session) -> dict[int, int]:
    """How many each key has there, COUNT_LIMIT + 1 for more than COUNT_LIMIT."""
    some = (
        sql_select(col(Quarantine.id))
        .where(col(Quarantine.key_id) == col(Key.id))
        .limit(COUNT_LIMIT + 1)
        .correlate(Key)
        .subquery()
    )
    counted = sql_select(func.count()).select_from(some).scalar_subquery()
    rows = session.execute(sql_select(col(Key.id), counted))
    return {int(key_id): kept for key_id, kept in rows if kept}


def reasons(session: Session, key_id: int | None, most: int) -> list[str]:
    """The reasons of the newest `most` events, of one key or of all."""
    query = select(Quarantine.reason)
    if key_id is not None:
        query = query.where(Quarantine.key_id == key_id)
    return list(session.exec(query.order_by(col(Quarantine.id).desc()).limit(most)))
