"""Promise 2: a power cut loses nothing acknowledged, since the log reaches the disk before each answer."""

import shutil
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.web.services import Services
from tests.factories import exec_event
from tests.processes import serving, until
from tests.promises.ground import LONG, SERVE, tell

BATCHES = 300 if LONG else 20
FULL = 2  # PRAGMA synchronous, as SQLite numbers it


def test_connections_that_are_in_use_synchronise_in_full(
    app: FastAPI, anonymous: TestClient, services: Services
) -> None:
    assert anonymous.get("/healthz").status_code == 200
    for way in (services.database.read, services.database.write):
        with way() as session:
            asked = session.connection().exec_driver_sql("PRAGMA synchronous").scalar()
            assert asked == FULL


def test_each_acknowledged_batch_has_had_the_log_synchronised(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    calls = tmp_path / "calls"
    # -D keeps the server our own child; -y tells which file a call was about.
    traced = (strace, "-D", "-f", "-y", "-qq", "-e", "trace=fdatasync,fsync", "-o", str(calls))

    def synchronised() -> int:
        return calls.read_text(errors="replace").count("deckwatch.db-wal>")

    with serving(tmp_path, (*traced, *SERVE)) as server:
        before = synchronised()
        for number in range(BATCHES):
            status, _, told = server.send(key, exec_event(event_id=f"batch-{number}"))
            assert (status, told["matched"]) == (200, 1)
        # Each was sent when the one before was answered, so that no two can have shared a transaction.
        until(lambda: synchronised() - before >= BATCHES, "a call for each batch", patience=5)
        tell(capsys, 2, f"{BATCHES} batches, {synchronised() - before} synchronisations of the log")
        assert server.stop() == 0
