"""Fixture that adds events to quarantine directly."""

from collections.abc import Callable
from hashlib import sha256

import pytest
from sqlmodel import select

from app.store import quarantine
from app.store.database import Database
from app.store.quarantine import NewQuarantinedEvent
from app.store.tables import QuarantinedEvent
from tests.conftest import FakeClock


@pytest.fixture
def add_to_quarantine(database: Database, clock: FakeClock) -> Callable[..., int]:
    """Return a function that quarantines bytes as an older version would, and returns the id."""

    def add(
        raw: bytes, key_id: int = 1, reason: str = "no known agent format: nothing fits"
    ) -> int:
        with database.write() as session:
            event = NewQuarantinedEvent(sha256(raw).digest(), reason, raw)
            quarantine.add_many(session, key_id, [event], clock())
            return max(row.id or 0 for row in session.exec(select(QuarantinedEvent)))

    return add
