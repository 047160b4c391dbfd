"""Shutdown, worker processes, hostile connections, and a locked or damaged database."""

import http.client
import json
import os
import signal
import socket
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.domain.principal import Role
from tests.factories import exec_event
from tests.processes import TIMEOUT_SECONDS, ServerProcess, run, running_server, wait_until
from tests.promises.ground import (
    SERVE,
    WRITERS,
    EventSenders,
    is_consistent,
    locked_database,
    make_key,
    open_database,
    stored_event_ids,
)


@pytest.fixture
def key(tmp_path: Path) -> str:
    return make_key(tmp_path, "fleet")


def test_a_shutdown_ends_streams_and_unfinished_requests_and_loses_no_event(
    tmp_path: Path, key: str
) -> None:
    analyst = make_key(tmp_path, "reader", Role.ANALYST)
    with (
        running_server(tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS) as unfinished,
        socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS) as stream,
    ):
        stream.sendall(
            b"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: Bearer " + analyst.encode() + b"\r\n\r\n"
        )
        assert stream.recv(15) == b"HTTP/1.1 200 OK"
        unfinished.sendall(
            b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
            b"Authorization: Bearer " + key.encode() + b"\r\n\r\n{"
        )
        with EventSenders(server, key, "stop") as senders:
            wait_until(lambda: len(senders.acknowledged) >= WRITERS, "the first responses")
            assert server.stop() == 0
    assert senders.unexpected_answers == []
    assert set(senders.acknowledged) <= stored_event_ids(tmp_path)
    assert is_consistent(tmp_path)


def test_a_shutdown_does_not_wait_for_a_locked_database(tmp_path: Path, key: str) -> None:
    with running_server(tmp_path) as server:
        assert server.send(key, exec_event())[0] == 200
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)
        with locked_database(tmp_path):
            connection.request(
                "POST",
                "/api/v1/events",
                json.dumps(exec_event(event_id="late")),
                {"Authorization": f"Bearer {key}"},
            )
            wait_until(lambda: _has_read_everything(server), "the server has read the request")
            # The lock is held until after the shutdown, so the server cannot have waited for it.
            assert server.stop() == 0
        response = connection.getresponse()
        assert (response.status, response.headers["Retry-After"]) == (503, "2")
        connection.close()
    assert "late" not in stored_event_ids(tmp_path)


def _has_read_everything(server: ServerProcess) -> bool:
    """Return whether the server has read everything that was sent to it."""
    connections = _connections(server)
    return bool(connections) and all(columns[4].endswith(":00000000") for columns in connections)


def _connections(server: ServerProcess) -> list[list[str]]:
    """Return the server's open connections, as the columns of /proc/net/tcp (proc(5))."""
    lines = Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()[1:]
    local = f"0100007F:{server.port:04X}"
    sockets = [line.split() for line in lines if line.split()[1] == local]
    return [columns for columns in sockets if columns[3] == "01"]


def test_two_workers_share_a_database_and_stop_together(tmp_path: Path, key: str) -> None:
    workers = (*SERVE, "--workers", "2")
    with (
        running_server(tmp_path, workers) as server,
        EventSenders(server, key, "workers") as senders,
    ):
        wait_until(lambda: len(senders.acknowledged) >= 10 * WRITERS, "responses")
        assert server.stop() == 0
    assert senders.unexpected_answers == []
    assert set(senders.acknowledged) <= stored_event_ids(tmp_path)
    assert is_consistent(tmp_path)


def _requests_by_worker(log_lines: list[str]) -> Counter[int]:
    """Return the number of requests that each worker process has logged."""
    records = (json.loads(line) for line in list(log_lines) if line.startswith("{"))
    return Counter(record["process"] for record in records if record["event"] == "request")


def test_connections_are_distributed_over_all_workers_and_over_the_replacement_of_a_dead_one(
    tmp_path: Path,
) -> None:
    log_lines: list[str] = []
    with ExitStack() as stack:
        server = stack.enter_context(
            running_server(tmp_path, (*SERVE, "--workers", "2"), log_lines=log_lines)
        )

        def connect() -> None:
            client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)
            stack.callback(client.close)
            client.request("GET", "/login")
            assert client.getresponse().status == 200

        for _ in range(64):
            connect()
        wait_until(lambda: _requests_by_worker(log_lines).total() == 64, "64 requests are logged")
        requests = _requests_by_worker(log_lines)
        # The distribution is random: a worker gets fewer than 16 of 64 in one of 50,000 runs.
        assert len(requests) == 2
        assert min(requests.values()) >= 16
        os.kill(requests.most_common()[0][0], signal.SIGKILL)
        wait_until(lambda: "serving" in "".join(log_lines[-5:]), "the replacement serves")
        for _ in range(32):
            connect()
        assert server.stop() == 0


def test_the_database_check_detects_damage(tmp_path: Path, key: str) -> None:
    with running_server(tmp_path) as server:
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
    assert "reports damage" in checked.stderr


def test_the_database_check_detects_a_changed_audit_log(tmp_path: Path, key: str) -> None:
    with open_database(tmp_path) as connection:
        connection.execute("UPDATE audit_entry SET actor = 'somebody else'")
    checked = run(tmp_path, "db", "check")
    assert checked.returncode == 1
    assert "audit log was changed" in checked.stderr


def test_an_endless_request_head_is_refused(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        with socket.create_connection(
            ("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS
        ) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            with pytest.raises(OSError, match=r"reset|Broken pipe"):
                client.sendall((b"X: " + b"y" * 10_000 + b"\r\n") * 5_000)
        assert server.request("GET", "/healthz")[0] == 200
        assert server.stop(signal.SIGINT) == 0


def test_stalled_connections_are_closed_and_a_slow_body_is_not(tmp_path: Path, key: str) -> None:
    program = (
        "from app import server; server.STALL_TIMEOUT_SECONDS = 0.3; "
        "from app.cli.main import main; main()"
    )
    head = b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key.encode()
    style_sheet = b"GET /static/vendor/tabler/tabler.min.css HTTP/1.1\r\nHost: x\r\n\r\n"
    with running_server(
        tmp_path, (sys.executable, "-c", program, "serve", "--port", "0")
    ) as server:

        def connect(data: bytes) -> socket.socket:
            client = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS)
            client.sendall(data)
            return client

        with connect(head + b"\r\nContent-Length: 2\r\n\r\n[") as slow:
            for data in (b"", head, head + b"\r\nContent-Length: 2\r\n\r\n[]" + head):
                with connect(data) as stalled:
                    responses = b"".join(iter(lambda: _receive(stalled), b""))
                    # A complete request is answered before the connection is closed.
                    assert responses.startswith(b"HTTP/1.1 200") == data.endswith(b"[]" + head)
            with connect(style_sheet * 50):  # many megabytes that the client does not read
                wait_until(
                    lambda: len(_connections(server)) == 1,
                    "only the connection with the slow body is open",
                )
            slow.sendall(b"]")
            assert slow.recv(12) == b"HTTP/1.1 200"
        assert server.stop() == 0


def _receive(client: socket.socket) -> bytes:
    try:
        return client.recv(4096)
    except ConnectionResetError:
        return b""
