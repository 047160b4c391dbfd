"""Events that could not be read, with their bytes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, insert
from sqlmodel import Session, col, select

from app.store.tables import Quarantine


def insert_many(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        session.execute(insert(Quarantine), list(rows))


def newest(session: Session, *, before: int | None, limit: int) -> list[Quarantine]:
    query = select(Quarantine)
    if before is not None:
        query = query.where(col(Quarantine.id) < before)
    return list(session.exec(query.order_by(col(Quarantine.id).desc()).limit(limit)))


def get(session: Session, quarantine_id: int) -> Quarantine | None:
    return session.get(Quarantine, quarantine_id)


def total(session: Session) -> int:
    return session.exec(select(func.count()).select_from(Quarantine)).one()


def counts(session: Session) -> dict[int, int]:
    """How many each key has there."""
    return dict(
        session.exec(select(Quarantine.key_id, func.count()).group_by(col(Quarantine.key_id))).all()
    )
