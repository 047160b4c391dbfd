"""Discarding what could not be read: for good, and on record."""

import hashlib
from collections.abc import Collection
from datetime import datetime

from app.domain.principal import Principal
from app.store import audit, quarantine
from app.store.database import Database


def delete_events(
    database: Database, ids: Collection[int], *, why: str, principal: Principal, at: datetime
) -> int:
    """How many were there to be deleted. `why` tells the audit log how they were chosen.

    A single event leaves its digest in the log, so that a copy of it can be recognised later.
    """
    with database.write() as session:
        there = quarantine.existing_ids(session, ids)
        if not there:
            return 0
        detail = f"{len(there):,} events, from {min(there)} to {max(there)}: {why}"
        subject = "quarantine"
        if len(there) == 1:
            (only,) = there
            row = quarantine.get(session, only)
            raw = row.event if row else b""
            subject = f"quarantine {only}"
            detail = f"{why}; {len(raw):,} bytes, SHA-256 {hashlib.sha256(raw).hexdigest()}"
        quarantine.delete_many(session, there)
        audit.record(
            session,
            at=at,
            actor=principal.name,
            action="quarantine.deleted",
            subject=subject,
            detail=detail,
            address=principal.address,
        )
        return len(there)
