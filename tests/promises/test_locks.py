"""Promise 7: a locked database refuses, then heals."""

import threading
from itertools import cycle, islice
from pathlib import Path
from time import monotonic

import pytest

from app.domain.errors import Unavailable
from app.domain.roles import Role
from app.ingest.writer import PATIENCE_SECONDS, Batch, Refused, Writer
from app.store.database import Database
from tests.conftest import Clock
from tests.factories import exec_event
from tests.processes import PATIENCE, serving, until
from tests.promises.ground import LONG, locked, make_key, stored, tell, whole

# Seconds; a lock that ends while a request is waited for is no reason to refuse it.
LOCKS = list(islice(cycle((1, 5, 30)), 20)) if LONG else [1]
BATCH = 25


def test_a_locked_database_refuses_and_heals(tmp_path: Path, key: str) -> None:
    analyst = make_key(tmp_path, "reader", Role.ANALYST)
    event = exec_event(event_id="during")
    with serving(tmp_path) as server:
        assert server.send(key, exec_event(event_id="before"))[0] == 200
        with locked(tmp_path):
            status, headers, told = server.send(key, event, exec_event(event_id="during-2"))
            assert (status, headers["retry-after"]) == (503, "2")
            assert "busy" in told["detail"]
            assert server.ask("GET", "/readyz")[0] == 503
            assert server.ask("GET", "/healthz")[0] == 200
            read = server.ask("GET", "/api/v1/alerts", Authorization=f"Bearer {analyst}")
            assert read[0] == 200
            assert stored(tmp_path) == {"before"}
        until(lambda: server.ask("GET", "/readyz")[0] == 200, "ready again")
        assert server.send(key, event)[2]["matched"] == 1
        assert stored(tmp_path) == {"before", "during"}
        assert server.stop() == 0


def test_the_wait_in_the_queue_counts_towards_the_wait_for_the_lock(
    tmp_path: Path, database: Database, clock: Clock
) -> None:
    """Else who comes just behind a transaction that waits for a lock waits nearly twice as long."""
    writer = Writer(database, clock=clock)
    broken = (Refused(b"{", "broken"),)
    late = Batch(1, (), broken, received=1, size=1, queued_at=monotonic() - PATIENCE_SECONDS)
    with locked(tmp_path):
        told = writer.submit(late)
        writer.start()
        # Had it the whole patience, nothing would be told in this time.
        with pytest.raises(Unavailable, match="busy"):
            told.result(timeout=PATIENCE_SECONDS - 1)
    writer.stop()


def test_locks_of_any_length_leave_no_batch_in_part(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[int] = []
    acknowledged: set[str] = set()
    with serving(tmp_path) as server:
        for number, seconds in enumerate(LOCKS):
            names = [f"lock-{number}-{count}" for count in range(BATCH)]

            def send(names: list[str] = names) -> None:
                status, headers, _ = server.send(key, *(exec_event(event_id=n) for n in names))
                assert status == 200 or (status == 503 and "retry-after" in headers)
                answers.append(status)

            before = len(answers)
            sender = threading.Thread(target=send)
            with locked(tmp_path):
                sender.start()
                threading.Event().wait(seconds)
            sender.join(PATIENCE)
            assert len(answers) == before + 1
            there = stored(tmp_path) & set(names)
            assert there in (set(), set(names)), "a batch in part"
            assert answers[-1] == 503 or there == set(names), "acknowledged, and not there"
            until(lambda: server.ask("GET", "/readyz")[0] == 200, "ready again")
            assert server.send(key, *(exec_event(event_id=n) for n in names))[0] == 200
            acknowledged.update(names)
        assert server.stop() == 0
    tell(
        capsys,
        7,
        f"{len(answers)} locks, {answers.count(503)} batches refused, {answers.count(200)} stored when "
        f"the lock ended, {len(stored(tmp_path)):,} of {len(acknowledged):,} "
        "matches in the end, none in part",
    )
    assert stored(tmp_path) == acknowledged
    assert whole(tmp_path)
