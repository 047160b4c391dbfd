"""What happens when the ground gives way: kills, stops, a database that is locked, full or damaged."""

import asyncio
import random
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.actions import keys
from app.domain.errors import Unavailable
from app.domain.roles import COMMAND_LINE, Role
from app.settings import read_settings
from app.setup import opened
from app.web import live
from app.web.live import Live
from tests.factories import exec_event
from tests.processes import COMMAND, PATIENCE, Serving, run, serving, until

KILLS = 20
WRITERS = 4
BROKEN = (sys.executable, str(Path(__file__).with_name("early_acknowledger.py")))
SERVE = (*COMMAND, "serve", "--port", "0")


@pytest.fixture
def key(tmp_path: Path) -> str:
    return _key(tmp_path, "fleet", Role.AGENT)


def _key(folder: Path, name: str, role: Role) -> str:
    settings = read_settings(database_url=f"sqlite:///{folder / 'deckwatch.db'}")
    database = opened(settings, migrate=lambda _: None)
    try:
        return keys.create(database, name, role, who=COMMAND_LINE, at=datetime.now(UTC))[1]
    finally:
        database.close()


@contextmanager
def connected(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(
        sqlite3.connect(folder / "deckwatch.db", timeout=PATIENCE, isolation_level=None)
    ) as connection:
        yield connection


def stored(folder: Path) -> set[str]:
    with connected(folder) as connection:
        return {row[0] for row in connection.execute("SELECT event_id FROM rule_match")}


def whole(folder: Path) -> bool:
    with connected(folder) as connection:
        counts = connection.execute(
            "SELECT (SELECT sum(match_count) FROM alert) = (SELECT count(*) FROM rule_match)"
        ).fetchone()
        integrity = connection.execute("PRAGMA integrity_check").fetchall()
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
    return bool(counts[0]) and integrity == [("ok",)] and not orphans


class Senders:
    """Agents that post one event after the other until their server is gone."""

    def __init__(self, server: Serving, key: str, mark: str) -> None:
        self.acknowledged: list[str] = []
        self.wrong: list[str] = []
        self._server, self._key, self._mark = server, key, mark
        self._threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(WRITERS)
        ]

    def __enter__(self) -> "Senders":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads)

    def _send(self, number: int) -> None:
        for count in range(100_000):
            name = f"{self._mark}-{number}-{count}"
            event = exec_event("ssh", f"host-{number}", event_id=name)
            try:
                status, headers, told = self._server.send(self._key, event)
            except OSError:
                return
            if status == 200 and told["matched"] == 1:
                self.acknowledged.append(name)
            elif status != 503 or "retry-after" not in headers:
                self.wrong.append(f"{name}: {status} {told}")


def lost_in_kills(folder: Path, key: str, command: Sequence[str], kills: int) -> tuple[int, int]:
    """How many matches were acknowledged over that many kills, and how many of them are not stored."""
    acknowledged: set[str] = set()
    chance = random.Random(4)  # noqa: S311 (moments, not secrets)
    for kill in range(kills):
        with serving(folder, command) as server:
            with Senders(server, key, f"kill-{kill}") as senders:
                # While the one that was waited for is answered, the other writers are in all stages.
                wanted = chance.randrange(WRITERS, 15 * WRITERS)
                # The lambda does not outlive this round of the loop.
                until(lambda: len(senders.acknowledged) >= wanted, "answers")  # noqa: B023
                server.process.kill()
            assert senders.wrong == []
            acknowledged.update(senders.acknowledged)
    return len(acknowledged), len(acknowledged - stored(folder))


def test_no_acknowledged_match_is_lost_to_a_kill(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    acknowledged, lost = lost_in_kills(tmp_path, key, SERVE, KILLS)
    with capsys.disabled():
        print(f"\n{KILLS} kills, {acknowledged} acknowledged, {lost} lost", flush=True)
    assert acknowledged >= KILLS * WRITERS
    assert lost == 0
    assert whole(tmp_path)
    assert run(tmp_path, "db", "check").returncode == 0


def test_an_answer_before_the_commit_would_be_caught(tmp_path: Path, key: str) -> None:
    for attempt in range(5):  # by chance a kill may hit no transaction
        folder = tmp_path / str(attempt)
        folder.mkdir()
        _, lost = lost_in_kills(folder, _key(folder, "fleet", Role.AGENT), BROKEN, 2)
        if lost:
            return
    pytest.fail("a server that acknowledges before it commits was not caught")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with connected(folder) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def test_a_locked_database_refuses_and_heals(tmp_path: Path, key: str) -> None:
    analyst = _key(tmp_path, "reader", Role.ANALYST)
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


def test_a_stop_ends_streams_and_half_sent_requests_and_loses_nothing(
    tmp_path: Path, key: str
) -> None:
    analyst = _key(tmp_path, "reader", Role.ANALYST)
    with (
        serving(tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as half,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as stream,
    ):
        stream.sendall(
            b"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: Bearer " + analyst.encode() + b"\r\n\r\n"
        )
        assert stream.recv(15) == b"HTTP/1.1 200 OK"
        half.sendall(
            b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
            b"Authorization: Bearer " + key.encode() + b"\r\n\r\n{"
        )
        with Senders(server, key, "stop") as senders:
            until(lambda: len(senders.acknowledged) >= WRITERS, "a first answer")
            assert server.stop() == 0
    assert senders.wrong == []
    assert set(senders.acknowledged) <= stored(tmp_path)
    assert whole(tmp_path)


def test_a_stop_does_not_wait_for_a_locked_database(tmp_path: Path, key: str) -> None:
    answers: list[tuple[int, str]] = []
    with serving(tmp_path) as server:
        assert server.send(key, exec_event())[0] == 200

        def send() -> None:
            status, headers, _ = server.send(key, exec_event(event_id="late"))
            answers.append((status, headers.get("retry-after", "")))

        with locked(tmp_path):
            sender = threading.Thread(target=send)
            sender.start()
            until(lambda: _is_reading(server), "the request is in")
            # The lock outlasts the server: it can only end by not waiting for it.
            assert server.stop() == 0
            sender.join(PATIENCE)
    assert answers == [(503, "2")]
    assert "late" not in stored(tmp_path)


def _is_reading(server: Serving) -> bool:
    """Whether the server has taken all that was sent to it: nothing is left in its sockets."""
    lines = Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()[1:]
    local = f"0100007F:{server.port:04X}"
    mine = [line.split() for line in lines if line.split()[1] == local]
    open_ones = [parts for parts in mine if parts[3] == "01"]
    return bool(open_ones) and all(parts[4].endswith(":00000000") for parts in open_ones)


def test_two_workers_share_one_database_and_end_together(tmp_path: Path, key: str) -> None:
    workers = (*SERVE, "--workers", "2")
    with serving(tmp_path, workers) as server, Senders(server, key, "workers") as senders:
        until(lambda: len(senders.acknowledged) >= 10 * WRITERS, "answers")
        assert server.stop() == 0
    assert senders.wrong == []
    assert set(senders.acknowledged) <= stored(tmp_path)
    assert whole(tmp_path)


def test_a_damaged_database_is_named_by_its_check(tmp_path: Path, key: str) -> None:
    with serving(tmp_path) as server:
        for number in range(50):
            assert server.send(key, exec_event("ssh", f"h{number}"))[0] == 200
        assert server.stop() == 0
    file = tmp_path / "deckwatch.db"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 8192] = b"\xff" * 8192
    file.write_bytes(raw)
    checked = run(tmp_path, "db", "check")
    assert checked.returncode == 1
    assert "Traceback" not in checked.stderr
    assert "damaged" in checked.stderr


def test_a_changed_audit_log_is_named_by_its_check(tmp_path: Path, key: str) -> None:
    with connected(tmp_path) as connection:
        connection.execute("UPDATE audit_entry SET actor = 'somebody else'")
    checked = run(tmp_path, "db", "check")
    assert checked.returncode == 1
    assert "audit log was changed" in checked.stderr


def test_a_head_without_end_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as caller:
            caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            with pytest.raises(OSError, match=r"reset|Broken pipe"):
                caller.sendall((b"X: " + b"y" * 10_000 + b"\r\n") * 5_000)
        assert server.ask("GET", "/healthz")[0] == 200
        assert server.stop(signal.SIGINT) == 0


def test_streams_go_on_looking_after_a_look_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else changes made by another worker would never again be told, and the stop would fail."""
    looks: Iterator[int | Unavailable] = iter([1, Unavailable("busy"), *range(2, 1_000)])

    def look() -> int:
        found = next(looks)
        if isinstance(found, Unavailable):
            raise found
        return found

    async def told() -> list[bytes]:
        streams = Live(look)
        streams.start(asyncio.get_running_loop())
        watching = asyncio.create_task(streams.watch())
        parts = []
        async for part in streams.stream():
            parts.append(part)
            if part.startswith(b"event: alerts"):
                break
        assert not watching.done()
        watching.cancel()
        return parts

    monkeypatch.setattr(live, "LOOK_SECONDS", 0.001)
    # A thread of its own: a browser test before this one leaves its loop running in the main thread.
    with ThreadPoolExecutor(1) as own:
        parts = own.submit(lambda: asyncio.run(asyncio.wait_for(told(), PATIENCE))).result()
    assert parts[-1].startswith(b"event: alerts")
