"""Server log: escaping, request ids, request lines, errors and shutdown."""

import json
import logging
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app import logs
from app.logs import LogFormat
from tests.conftest import ORIGIN, AgentClient, UserClient
from tests.factories import exec_event
from tests.processes import COMMAND, TIMEOUT_SECONDS, ServerProcess, run, running_server, wait_until

# Characters that a terminal interprets or hides, or at which a program splits lines.
HOSTILE = 'x\n{"event": "forged"}\r\x1b[2J\x7f\x9b\u2028\u2029\u202e\u200b\x00"} \ud800 \u0085é'
INVISIBLE = "\n\r\x1b\x7f\x9b\u2028\u2029\u202e\u200b\x00\ud800\u0085"


@pytest.fixture
def configure_logging() -> Iterator[Any]:
    """Return `logs.configure_logging`, and restore the logging configuration afterwards."""
    root, ours, uvicorn = (logging.getLogger(name) for name in (None, "app", "uvicorn.error"))
    before = root.handlers[:], root.level, ours.level, uvicorn.filters[:]
    root.handlers = []  # otherwise configure_logging closes pytest's handlers
    yield logs.configure_logging
    root.handlers, uvicorn.filters = before[0], before[3]
    root.setLevel(before[1])
    ours.setLevel(before[2])


@pytest.fixture
def log() -> logging.Logger:
    return logging.getLogger("app.test")


def parse_records(text: str) -> list[dict[str, Any]]:
    """Parse each line as a JSON record."""
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def test_a_hostile_value_is_escaped_to_one_json_line(
    configure_logging: Any, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LogFormat.JSON)
    log.warning("value: %s", HOSTILE, extra={"user": HOSTILE, "count": 3})
    raw = capsys.readouterr().err
    assert raw.isascii()
    assert "\x7f" not in raw
    (record,) = parse_records(raw)
    assert (record["level"], record["count"]) == ("warning", 3)
    for value in (record["event"], record["user"]):
        # The decoded value must not contain control characters either.
        assert not set(INVISIBLE) & set(value)
        assert "\\x1b[2J" in value
        assert "é" in value


def test_a_hostile_value_is_escaped_to_one_text_line(
    configure_logging: Any, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LogFormat.TEXT)
    log.info("message", extra={"user": HOSTILE + ' b" status=200', "route": "/x"})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" route=/x")
    assert ' user="x' in line
    assert '\\" status=200"' in line  # inside the quotes, so not a pair of its own


@pytest.mark.parametrize("format", [LogFormat.JSON, LogFormat.TEXT])
def test_a_traceback_cannot_forge_a_record(
    configure_logging: Any,
    log: logging.Logger,
    capsys: pytest.CaptureFixture[str],
    format: LogFormat,
) -> None:
    configure_logging(format)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("it failed")
    output = capsys.readouterr().err
    assert not set(INVISIBLE.replace("\n", "")) & set(output)
    if format is LogFormat.JSON:
        (record,) = parse_records(output)
        assert record["exception"].startswith("Traceback (most recent call last):\n")
        assert '{"event": "forged"}' in record["exception"]
    else:
        first, *rest = output.splitlines()
        assert first.endswith("it failed logger=app.test") or "it failed" in first
        assert all(line.startswith("  | ") for line in rest)


def test_a_long_value_is_truncated(
    configure_logging: Any, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LogFormat.JSON)
    log.info("message", extra={"user": "u" * 100_000})
    (record,) = parse_records(capsys.readouterr().err)
    assert record["user"] == "u" * (logs.MAX_VALUE_LENGTH - 1) + "…"


# ---- request ids ----


@pytest.mark.parametrize("given", ["abc-1", "a" * 64, "A.b_c-9"])
def test_a_valid_request_id_is_kept(anonymous: TestClient, given: str) -> None:
    response = anonymous.get("/healthz", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", "é".encode(), b"a\x01", 'a"b', "a\\n"])
def test_an_invalid_request_id_is_replaced_by_a_new_one(
    anonymous: TestClient, given: str | bytes
) -> None:
    headers: Any = {"X-Request-ID": given}
    ids = {anonymous.get("/healthz", headers=headers).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(len(request_id) == 16 and request_id.isalnum() for request_id in ids)


def test_problem_details_contain_the_request_id(anonymous: TestClient) -> None:
    response = anonymous.get("/api/v1/alerts", headers={"X-Request-ID": "mine"})
    assert response.status_code == 401
    assert response.json()["request_id"] == response.headers["x-request-id"] == "mine"


def test_an_unexpected_error_is_logged_once_with_its_traceback(
    app: FastAPI,
    admin: UserClient,
    configure_logging: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise LookupError(HOSTILE)

    monkeypatch.setattr("app.store.alerts.get", fail)
    client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
    client.cookies = admin.client.cookies
    configure_logging(LogFormat.JSON)
    response = client.get("/alerts/1?q=a-secret", headers={"X-Request-ID": "mine"})
    assert response.status_code == 500
    assert response.headers["x-request-id"] == "mine"
    assert "mine" in response.text
    records = parse_records(capsys.readouterr().err)
    (error,) = (record for record in records if record["level"] == "error")
    assert (error["request_id"], error["route"]) == ("mine", "/alerts/{alert_id}")
    assert "LookupError" in error["exception"]
    request = next(record for record in records if record["event"] == "request")
    assert (request["status"], request["request_id"], request["user"]) == (500, "mine", "ada")
    assert "a-secret" not in str(records)


def test_a_request_is_logged_with_method_route_status_and_user(
    agent: AgentClient,
    analyst: UserClient,
    configure_logging: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(LogFormat.JSON)
    agent.send_events(exec_event())
    analyst.get("/alerts/1?next=one-secret")
    analyst.get("/audit")
    analyst.client.get("/setup/another-secret?x=y")
    analyst.client.request("BR\u00c9W".encode("latin-1").decode("latin-1"), "/nowhere")
    raw = capsys.readouterr().err
    requests = [record for record in parse_records(raw) if record["event"] == "request"]
    assert [(r["method"], r["route"], r["status"]) for r in requests[:4]] == [
        ("POST", "/api/v1/events", 200),
        ("GET", "/alerts/{alert_id}", 200),
        ("GET", "/audit", 403),
        ("GET", "/setup/{token}", 404),
    ]
    assert (requests[0]["key_id"], requests[1]["user"], requests[2]["user"]) == (1, "ana", "ana")
    assert (requests[4]["method"], requests[4]["route"]) == ("other", "unmatched")
    assert all(r["duration_ms"] >= 0 and r["request_id"] for r in requests)
    assert "secret" not in raw
    assert agent.key not in raw


def test_probes_and_static_files_are_logged_only_on_failure(
    anonymous: TestClient, configure_logging: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LogFormat.JSON)
    for path in ("/healthz", "/readyz", "/metrics", "/static/app.css"):
        assert anonymous.get(path).status_code == 200
    assert capsys.readouterr().err == ""
    anonymous.get("/static/none.css")
    (record,) = parse_records(capsys.readouterr().err)
    assert (record["route"], record["status"]) == ("/static/", 404)


# ---- a server in its own process ----


def server_records(log_lines: list[str]) -> list[dict[str, Any]]:
    """Parse the log lines of a server, which follow its startup messages."""
    first = next(n for n, line in enumerate(log_lines) if line.startswith("Deckwatch ")) + 1
    return [json.loads(line) for line in log_lines[first:]]


def test_shutdown_completes_requests_in_flight_and_closes_event_streams(
    tmp_path: Path,
) -> None:
    agent = run(tmp_path, "key", "create", "fleet", "--role", "agent").stdout.strip()
    reader = run(tmp_path, "key", "create", "reader", "--role", "analyst").stdout.strip()
    log_lines: list[str] = []
    with running_server(
        tmp_path, (*COMMAND, "serve", "--port", "0"), log_lines=log_lines
    ) as server:
        streams = [_open_event_stream(server, reader) for _ in range(3)]
        with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS) as late:
            body = json.dumps(exec_event(event_id="late")).encode()
            late.sendall(
                b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nX-Request-ID: late\r\n"
                b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
                % (agent.encode(), len(body), body[:-1])
            )
            wait_until(lambda: _has_read_all_input(server), "the server has read what was sent")
            server.process.send_signal(signal.SIGTERM)
            wait_until(
                lambda: any('"stopping' in line for line in log_lines), "the shutdown is logged"
            )
            late.sendall(body[-1:])
            assert late.recv(15) == b"HTTP/1.1 200 OK"
        assert server.process.wait(TIMEOUT_SECONDS) == 0
        for stream in streams:
            stream.close()
    records = server_records(log_lines)
    assert [record["event"] for record in records if record["logger"] == "app.main"] == [
        "serving",
        "stopping; completing requests in flight",
        "stopped",
    ]
    answered = [record["request_id"] for record in records if record.get("status") == 200]
    assert "late" in answered
    assert len(answered) == 1 + len(streams)
    assert [r for r in records if r["level"] in ("warning", "error", "critical")] == []


def _open_event_stream(server: ServerProcess, key: str) -> socket.socket:
    """Return the connection of an open event stream."""
    stream = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS)
    stream.sendall(
        b"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n" % key.encode()
    )
    assert stream.recv(15) == b"HTTP/1.1 200 OK"
    return stream


def _has_read_all_input(server: ServerProcess) -> bool:
    """Return whether the server has read everything that was sent to it."""
    lines = Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()[1:]
    sockets = [line.split() for line in lines if line.split()[1].endswith(f":{server.port:04X}")]
    return all(columns[4].endswith(":00000000") for columns in sockets if columns[3] == "01")


def test_every_worker_logs_with_its_process_id(tmp_path: Path) -> None:
    log_lines: list[str] = []
    command = (*COMMAND, "serve", "--port", "0", "--workers", "2")
    with running_server(tmp_path, command, log_lines=log_lines) as server:
        wait_until(
            lambda: sum('"serving"' in line for line in log_lines) == 2, "both workers serve"
        )
        server.request("GET", "/nowhere")
        assert server.stop() == 0
    records = server_records(log_lines)
    pids = {record["process"] for record in records if record["event"] == "stopped"}
    assert len(pids) == 2
    assert [record["status"] for record in records if record["event"] == "request"] == [404]


def test_the_log_format_is_configurable(tmp_path: Path) -> None:
    log_lines: list[str] = []
    command = (*COMMAND, "serve", "--port", "0")
    with running_server(tmp_path, command, log_lines=log_lines, LOG_FORMAT="text") as server:
        server.request("GET", "/nowhere")
        assert server.stop() == 0
    assert any(" info request " in line and " route=unmatched " in line for line in log_lines)
    refused = run(tmp_path, "serve", "--port", "0", LOG_FORMAT="xml")
    assert refused.returncode == 1
    assert "DECKWATCH_LOG_FORMAT: " in refused.stderr
