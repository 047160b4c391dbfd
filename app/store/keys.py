"""Keys that programs present, and what each of them sent."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, case, insert, update
from sqlmodel import Session, col, select

from app.store.tables import Key, metadata


def by_hash(session: Session, key_hash: str) -> Key | None:
    return session.exec(select(Key).where(Key.key_hash == key_hash)).first()


def by_name(session: Session, name: str) -> Key | None:
    return session.exec(select(Key).where(Key.name == name)).first()


def by_id(session: Session, key_id: int) -> Key | None:
    return session.get(Key, key_id)


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

# Core: this is written with each batch of events.
_MINUTES = metadata.tables["key_minute"]
_SEEN = bindparam("seen", type_=_MINUTES.c.seen_at.type)
_ADD_TRAFFIC = (
    update(_MINUTES)
    .where(_MINUTES.c.key_id == bindparam("of_key"), _MINUTES.c.minute == bindparam("of_minute"))
    .values(
        seen_at=case((_MINUTES.c.seen_at < _SEEN, _SEEN), else_=_MINUTES.c.seen_at),
        **{name: _MINUTES.c[name] + bindparam(f"more_{name}") for name in COUNTERS},
    )
)


def add_traffic(session: Session, key_id: int, minute: datetime, more: Traffic) -> None:
    """Add to the row of this key and minute, making it when it is the first."""
    connection = session.connection()
    added = {f"more_{name}": getattr(more, name) for name in COUNTERS}
    seen_at = more.seen_at or minute
    place = {"of_key": key_id, "of_minute": minute}
    if connection.execute(_ADD_TRAFFIC, {**added, **place, "seen": seen_at}).rowcount == 0:
        row = {name: getattr(more, name) for name in COUNTERS}
        connection.execute(
            insert(_MINUTES), {**row, "key_id": key_id, "minute": minute, "seen_at": seen_at}
        )
