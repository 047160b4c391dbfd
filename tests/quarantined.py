"""Reads the quarantine of a test database."""

from collections import Counter

from sqlmodel import delete, select

from app.store.database import Database
from app.store.tables import QuarantinedEvent


def count_quarantined(database: Database) -> Counter[bytes]:
    """Return how often each event was rejected."""
    with database.read() as session:
        rows = session.exec(select(QuarantinedEvent.event, QuarantinedEvent.count)).all()
    return Counter(dict(rows))


def take_quarantined(database: Database) -> Counter[bytes]:
    """Return how often each event was rejected since the last call, and empty the quarantine."""
    counts = count_quarantined(database)
    with database.write() as session:
        session.exec(delete(QuarantinedEvent))
    return counts
