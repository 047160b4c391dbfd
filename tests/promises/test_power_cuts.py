"""Promise 2: a power cut loses no acknowledged event, because each answer waits for a disk sync."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from app.web.services import Services
from tests.conftest import AgentClient
from tests.factories import exec_event
from tests.processes import TIMEOUT_SECONDS, running_server, wait_until
from tests.promises.ground import FULL_RUN, SERVE, mutant_command, report

BATCHES = 200 if FULL_RUN else 10
FULL = 2  # the number that PRAGMA synchronous returns for FULL
_SYNCED = re.compile(rb"(?:fdatasync|fsync)(?:\(| resumed).*= 0$", re.MULTILINE)


def test_each_commit_is_made_by_a_connection_that_syncs_in_full(
    services: Services, agent: AgentClient
) -> None:
    seen: list[tuple[int, str]] = []

    def look(connection: Any) -> None:
        synchronous, journal = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("synchronous", "journal_mode")
        )
        seen.append((synchronous, journal))

    event.listen(services.database.engine, "commit", look)
    for _ in range(3):
        agent.send_events(exec_event())
    assert len(seen) >= 3
    assert set(seen) == {(FULL, "wal")}


def count_unsynced(folder: Path, key: str, command: Sequence[str]) -> int:
    """Send BATCHES batches; return how many were acknowledged without a disk sync during the request."""
    if shutil.which("strace") is None:
        pytest.skip("strace is missing; on Debian and Ubuntu: apt install strace")
    calls = folder / "calls"
    # With -D, the server is the child process of this test and receives its signals; strace is a grandchild.
    tracer = ("strace", "-D", "-f", "-e", "trace=fdatasync,fsync", "-o", str(calls))
    found = 0
    with running_server(folder, (*tracer, *command)) as server:
        before = count_syncs(calls)
        for number in range(BATCHES):
            status, _, told = server.send(key, exec_event(event_id=f"batch-{number}"))
            assert (status, told["matched"]) == (200, 1)
            # strace writes the line of a system call before the server continues, so no line is missing.
            after = count_syncs(calls)
            found += after == before
            before = after
        assert server.stop() == 0
        end = f"{server.process.pid} +++ exited with 0 +++".encode()
        wait_until(
            lambda: end in re.sub(rb" +", b" ", calls.read_bytes()),
            "the tracer's end",
            TIMEOUT_SECONDS,
        )
    return found


def count_syncs(calls: Path) -> int:
    return len(_SYNCED.findall(calls.read_bytes()))


def test_each_acknowledged_batch_was_synced_before_its_answer(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    without = count_unsynced(tmp_path, key, SERVE)
    report(
        capsys,
        2,
        f"synchronous=FULL; {BATCHES} batches in a row, {without} acknowledged without a sync",
    )
    assert without == 0


def test_an_answer_without_a_sync_is_detected(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    without = count_unsynced(tmp_path, key, mutant_command("syncs_only_at_checkpoint"))
    report(capsys, 2, f"the mutant acknowledged {without} of {BATCHES} batches without a sync")
    assert without > BATCHES // 2
