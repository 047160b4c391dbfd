"""Keys that programs present, and what each of them sent."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, case, insert, update
from sqlmodel import Session, col, select

from app.store.tables import ApiKey, metadata


def get_by_hash(session: Session, key_hash: str) -> ApiKey | None:
    return session.exec(select(ApiKey).where(ApiKey.key_hash == key_hash)).first()


def get_by_name(session: Session, name: str) -> ApiKey | None:
    return session.exec(select(ApiKey).where(ApiKey.name == name)).first()


def get(session: Session, key_id: int) -> ApiKey | None:
    return session.get(ApiKey, key_id)


def list_all(session: Session) -> list[ApiKey]:
    """Live ones first, then by name."""
    return list(
        session.exec(select(ApiKey).order_by(col(ApiKey.revoked_at).is_not(None), col(ApiKey.name)))
    )


def names_by_id(session: Session, ids: Iterable[int]) -> dict[int, str]:
    wanted = set(ids)
    rows = session.exec(select(ApiKey.id, ApiKey.name).where(col(ApiKey.id).in_(wanted)))
    return {key_id: name for key_id, name in rows if key_id is not None}


@dataclass(slots=True)
class TrafficCounts:
    """What one key sent; adds up."""

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


COUNTER_FIELDS = ("received", "matched", "suppressed", "duplicates", "rejected", "bytes")

# Core: this is written with each batch of events.
_MINUTES = metadata.tables["key_minute"]
_SEEN = bindparam("seen", type_=_MINUTES.c.seen_at.type)
_ADD_TRAFFIC = (
    update(_MINUTES)
    .where(_MINUTES.c.key_id == bindparam("of_key"), _MINUTES.c.minute == bindparam("of_minute"))
    .values(
        seen_at=case((_MINUTES.c.seen_at < _SEEN, _SEEN), else_=_MINUTES.c.seen_at),
        **{name: _MINUTES.c[name] + bindparam(f"more_{name}") for name in COUNTER_FIELDS},
    )
)


def add_traffic(session: Session, key_id: int, minute: datetime, more: TrafficCounts) -> None:
    """Add to the row of this key and minute, making it when it is the first."""
    connection = session.connection()
    added = {f"more_{name}": getattr(more, name) for name in COUNTER_FIELDS}
    seen_at = more.seen_at or minute
    place = {"of_key": key_id, "of_minute": minute}
    if connection.execute(_ADD_TRAFFIC, {**added, **place, "seen": seen_at}).rowcount == 0:
        row = {name: getattr(more, name) for name in COUNTER_FIELDS}
        connection.execute(
            insert(_MINUTES), {**row, "key_id": key_id, "minute": minute, "seen_at": seen_at}
        )
