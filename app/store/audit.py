"""The audit log: append, search and verify entries. No function changes or deletes an entry."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.store.tables import AuditEntry

_INITIAL_HASH = "0" * 64


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
    """Append an entry within the transaction of the change that the entry records."""
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
        previous_hash=previous or _INITIAL_HASH,
        entry_hash="",
    )
    entry.entry_hash = _entry_hash(entry)
    session.add(entry)
    session.flush()


def _entry_hash(entry: AuditEntry) -> str:
    hashed_values = [
        entry.previous_hash,
        entry.at.isoformat(),
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail,
        entry.address,
    ]
    return hashlib.sha256(json.dumps(hashed_values).encode()).hexdigest()


def first_invalid_entry(session: Session) -> int | None:
    """Return the id of the first invalid entry, or None if all entries are valid.

    An entry is invalid if it was changed or if the entry before it was deleted.
    """
    previous = _INITIAL_HASH
    for entry in session.exec(select(AuditEntry).order_by(col(AuditEntry.id))):
        if entry.previous_hash != previous or entry.entry_hash != _entry_hash(entry):
            return entry.id
        previous = entry.entry_hash
    return None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Filter of the audit log; empty values do not filter.

    `actor` is compared exactly, `action` is a prefix, and `before` is the id of the last entry of the
    previous page.
    """

    actor: str = ""
    action: str = ""
    before: int | None = None


def search(session: Session, filters: AuditFilter, limit: int) -> list[AuditEntry]:
    """Return at most `limit` entries, newest first."""
    query = select(AuditEntry).order_by(col(AuditEntry.id).desc()).limit(limit)
    if filters.actor:
        query = query.where(AuditEntry.actor == filters.actor)
    if filters.action:
        query = query.where(col(AuditEntry.action).startswith(filters.action, autoescape=True))
    if filters.before is not None:
        query = query.where(col(AuditEntry.id) < filters.before)
    return list(session.exec(query))
