"""Promise 7: while the database is locked, events are refused; afterwards they are accepted again."""

import threading
from itertools import cycle, islice
from pathlib import Path
from time import monotonic

import pytest

from app.domain.errors import Unavailable
from app.domain.principal import Role
from app.ingest.events import RawEvent, RejectedEvent, new_rejection
from app.ingest.writer import WRITE_TIMEOUT_SECONDS, Batch, Writer
from app.store.database import Database
from tests.conftest import FakeClock
from tests.factories import exec_event
from tests.processes import TIMEOUT_SECONDS, running_server, wait_until
from tests.promises.ground import (
    FULL_RUN,
    is_consistent,
    locked_database,
    make_key,
    report,
    stored_event_ids,
)

# How long each lock is held, in seconds. A request that waits for a lock is refused only after
# WRITE_TIMEOUT_SECONDS, so a request during a shorter lock may be accepted.
LOCK_SECONDS = list(islice(cycle((1, 5, 30)), 20)) if FULL_RUN else [1]
BATCH = 25


def test_a_locked_database_refuses_and_heals(tmp_path: Path, key: str) -> None:
    analyst = make_key(tmp_path, "reader", Role.ANALYST)
    event = exec_event(event_id="during")
    with running_server(tmp_path) as server:
        assert server.send(key, exec_event(event_id="before"))[0] == 200
        with locked_database(tmp_path):
            status, headers, told = server.send(key, event, exec_event(event_id="during-2"))
            assert (status, headers["retry-after"]) == (503, "2")
            assert "busy" in told["detail"]
            assert server.request("GET", "/readyz")[0] == 503
            assert server.request("GET", "/healthz")[0] == 200
            read = server.request("GET", "/api/v1/alerts", Authorization=f"Bearer {analyst}")
            assert read[0] == 200
            assert stored_event_ids(tmp_path) == {"before"}
        wait_until(lambda: server.request("GET", "/readyz")[0] == 200, "ready again")
        assert server.send(key, event)[2]["matched"] == 1
        assert stored_event_ids(tmp_path) == {"before", "during"}
        assert server.stop() == 0


def test_queue_time_counts_towards_the_lock_timeout(
    tmp_path: Path, database: Database, clock: FakeClock
) -> None:
    """Otherwise a batch that is queued behind a waiting transaction could wait nearly twice as long."""
    writer = Writer(database, clock=clock)
    broken = (new_rejection(RejectedEvent(RawEvent(0, 1, b"{"), "broken")),)
    late = Batch(
        1, (), broken, received=1, body_bytes=1, queued_at=monotonic() - WRITE_TIMEOUT_SECONDS
    )
    with locked_database(tmp_path):
        told = writer.submit(late)
        writer.start()
        # If the time in the queue did not count, the batch would have no result within this timeout.
        with pytest.raises(Unavailable, match="busy"):
            told.result(timeout=WRITE_TIMEOUT_SECONDS - 1)
    writer.stop()


def test_a_batch_is_stored_completely_or_not_at_all_under_locks(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[int] = []
    acknowledged: set[str] = set()
    with running_server(tmp_path) as server:
        for number, seconds in enumerate(LOCK_SECONDS):
            names = [f"lock-{number}-{count}" for count in range(BATCH)]

            def send(names: list[str] = names) -> None:
                status, headers, _ = server.send(key, *(exec_event(event_id=n) for n in names))
                assert status == 200 or (status == 503 and "retry-after" in headers)
                answers.append(status)

            before = len(answers)
            sender = threading.Thread(target=send)
            with locked_database(tmp_path):
                sender.start()
                threading.Event().wait(seconds)
            sender.join(TIMEOUT_SECONDS)
            assert len(answers) == before + 1
            there = stored_event_ids(tmp_path) & set(names)
            assert there in (set(), set(names)), "a batch in part"
            assert answers[-1] == 503 or there == set(names), "acknowledged, and not there"
            wait_until(lambda: server.request("GET", "/readyz")[0] == 200, "ready again")
            assert server.send(key, *(exec_event(event_id=n) for n in names))[0] == 200
            acknowledged.update(names)
        assert server.stop() == 0
    report(
        capsys,
        7,
        f"{len(answers)} locks, {answers.count(503)} batches refused, {answers.count(200)} stored when "
        f"the lock ended, {len(stored_event_ids(tmp_path)):,} of {len(acknowledged):,} "
        "matches in the end, none in part",
    )
    assert stored_event_ids(tmp_path) == acknowledged
    assert is_consistent(tmp_path)
