"""Keys that programs present, and what each of them sent."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from app.store.tables import Key, KeyMinute


def by_hash(session: Session, key_hash: str) -> Key | None:
    return session.exec(select(Key).where(Key.key_hash == key_hash)).first()


def by_name(session: Session, name: str) -> Key | None:
    return session.exec(select(Key).where(Key.name == name)).first()


def all_keys(session: Session) -> list[Key]:
    """Live ones first, then by name."""
    return list(session.exec(select(Key).order_by(col(Key.revoked_at).is_not(None), col(Key.name))))


def names(session: Session, ids: Iterable[int]) -> dict[int, str]:
    wanted = set(ids)
    rows = session.exec(select(Key.id, Key.name).where(col(Key.id).in_(wanted)))
    return {key_id: name for key_id, name in rows if key_id is not None}


@dataclass(slots=True)
class Traffic:
    """What one key sent; adds up."""

    received: int = 0
    matched: int = 0
    suppressed: int = 0
    duplicates: int = 0
    rejected: int = 0
    bytes: int = 0
    seen_at: datetime | None = None

    def add(self, more: "Traffic") -> None:
        for name in COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(more, name))
        if more.seen_at and (self.seen_at is None or more.seen_at > self.seen_at):
            self.seen_at = more.seen_at


COUNTERS = ("received", "matched", "suppressed", "duplicates", "rejected", "bytes")


def add_traffic(session: Session, key_id: int, minute: datetime, more: Traffic) -> None:
    """Add to the row of this key and minute, making it when it is the first."""
    row = session.get(KeyMinute, (key_id, minute))
    if row is None:
        row = KeyMinute(
            key_id=key_id,
            minute=minute,
            seen_at=more.seen_at or minute,
            **{name: getattr(more, name) for name in COUNTERS},
        )
    else:
        for name in COUNTERS:
            setattr(row, name, getattr(row, name) + getattr(more, name))
        row.seen_at = max(row.seen_at, more.seen_at or minute)
    session.add(row)


def _traffic(counted: Sequence[int]) -> Traffic:
    figures = Traffic()
    for name, value in zip(COUNTERS, counted, strict=True):
        setattr(figures, name, int(value))
    return figures


def traffic(session: Session, *, since: datetime) -> dict[int, Traffic]:
    """Sums per key since then; `seen_at` is the newest receipt ever."""
    sums = [func.sum(col(getattr(KeyMinute, name))) for name in COUNTERS]
    rows = session.execute(
        sql_select(col(KeyMinute.key_id), *sums)
        .where(col(KeyMinute.minute) >= since - timedelta(minutes=1))
        .group_by(col(KeyMinute.key_id))
    )
    found: dict[int, Traffic] = {}
    for key_id, *counted in rows:
        found[key_id] = _traffic(counted)
    newest = session.exec(
        select(KeyMinute.key_id, func.max(KeyMinute.seen_at)).group_by(col(KeyMinute.key_id))
    ).all()
    for key_id, seen_at in newest:
        found.setdefault(key_id, Traffic()).seen_at = seen_at
    return found
