"""The audit log: appended to, read, verified; nothing here changes or removes an entry."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.store.tables import AuditEntry

_FIRST = "0" * 64


def record(
    session: Session,
    *,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    detail: str = "",
    address: str = "",
) -> None:
    """Append one entry, in the transaction of what it tells about."""
    previous = session.exec(
        select(AuditEntry.entry_hash).order_by(col(AuditEntry.id).desc()).limit(1)
    ).first()
    entry = AuditEntry(
        at=at,
        actor=actor,
        action=action,
        subject=subject,
        detail=detail,
        address=address,
        previous_hash=previous or _FIRST,
        entry_hash="",
    )
    entry.entry_hash = _hash(entry)
    session.add(entry)
    session.flush()


def _hash(entry: AuditEntry) -> str:
    told = [
        entry.previous_hash,
        entry.at.isoformat(),
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail,
        entry.address,
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def first_broken(session: Session) -> int | None:
    """The id of the first entry that was changed, or that follows a missing one; None when whole."""
    previous = _FIRST
    for entry in session.exec(select(AuditEntry).order_by(col(AuditEntry.id))):
        if entry.previous_hash != previous or entry.entry_hash != _hash(entry):
            return entry.id
        previous = entry.entry_hash
    return None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """`before` is the id of the last entry already seen."""

    actor: str = ""
    action: str = ""
    before: int | None = None


def search(session: Session, wanted: AuditFilter, limit: int) -> list[AuditEntry]:
    """Newest first, at most `limit`."""
    query = select(AuditEntry).order_by(col(AuditEntry.id).desc()).limit(limit)
    if wanted.actor:
        query = query.where(AuditEntry.actor == wanted.actor)
    if wanted.action:
        query = query.where(col(AuditEntry.action).startswith(wanted.action, autoescape=True))
    if wanted.before is not None:
        query = query.where(col(AuditEntry.id) < wanted.before)
    return list(session.exec(query))
