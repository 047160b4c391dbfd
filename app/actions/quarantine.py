"""Delete quarantined events."""

import hashlib
from collections.abc import Collection
from datetime import datetime

from app.domain.principal import Principal
from app.store import audit, quarantine
from app.store.database import Database


def delete_events(
    database: Database, ids: Collection[int], *, why: str, principal: Principal, at: datetime
) -> int:
    """Delete quarantined events; return the number of deleted events.

    The audit entry contains `why`, which says how the events were selected. For a single event, the entry
    also contains the SHA-256 of the event, so that a copy of the event can be identified later.
    """
    with database.write() as session:
        existing = quarantine.existing_ids(session, ids)
        if not existing:
            return 0
        detail = f"{len(existing):,} events with ids from {min(existing)} to {max(existing)}: {why}"
        subject = "quarantine"
        if len(existing) == 1:
            (event_id,) = existing
            row = quarantine.get(session, event_id)
            raw = row.event if row else b""
            subject = f"quarantine {event_id}"
            detail = f"{why}; {len(raw):,} bytes, SHA-256 {hashlib.sha256(raw).hexdigest()}"
        quarantine.delete_many(session, existing)
        audit.record(
            session,
            at=at,
            actor=principal.name,
            action="quarantine.deleted",
            subject=subject,
            detail=detail,
            address=principal.address,
        )
        return len(existing)
