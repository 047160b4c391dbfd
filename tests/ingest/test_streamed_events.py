"""Bodies that arrive in parts: same receipt as for a whole body, stored completely or not at all."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlmodel import SQLModel, func, select
from starlette.exceptions import HTTPException
from starlette.types import Message

from app.domain.errors import Unavailable
from app.ingest import writer
from app.ingest.events import RawEvent, RejectedEvent, new_rejection
from app.ingest.memory_budget import MemoryBudget
from app.ingest.pipeline import BLOCK_BYTES, Receipt
from app.ingest.writer import Batch, Writer
from app.settings import Settings, read_settings
from app.store.database import Database
from app.store.tables import ApiKeyMinute, Match, QuarantinedEvent
from app.web import body_limit
from app.web.body_limit import BODY_GRACE_SECONDS, MIN_BYTES_PER_SECOND, BodyLimitMiddleware
from app.web.services import Services
from tests.conftest import AgentClient, FakeClock
from tests.factories import benign_event, exec_event
from tests.loops import run_in_new_event_loop
from tests.processes import TIMEOUT_SECONDS, run, running_server

T = TypeVar("T")
LIMIT = 4 * BLOCK_BYTES


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return read_settings(database_url=settings.database_url, max_body_bytes=LIMIT)


def count(database: Database, table: type[SQLModel]) -> int:
    with database.read() as session:
        return session.exec(select(func.count()).select_from(table)).one()


def matching_lines(size: int) -> Iterator[bytes]:
    """Yield lines of at least `size` bytes; the first, the last and about 1% of them match."""
    quiet = json.dumps(benign_event(note="x" * 2_000)).encode() + b"\n"
    while size > 0:
        yield json.dumps(exec_event()).encode() + b"\n"
        for _ in range(100):
            yield quiet
            size -= len(quiet)
    yield json.dumps(exec_event()).encode() + b"\n"


def ingest_parts(services: Services, parts: Sequence[bytes], encoding: str = "") -> Receipt:
    async def arriving() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return run_in_new_event_loop(
        lambda: services.pipeline.ingest_stream(arriving(), encoding=encoding, key_id=1)
    )


@pytest.mark.parametrize("size", [1_000, 65_536, BLOCK_BYTES, LIMIT])
def test_the_parts_of_a_body_do_not_change_its_receipt(
    agent: AgentClient, services: Services, size: int
) -> None:
    lines = [*matching_lines(2 * BLOCK_BYTES), b"{broken\n", json.dumps(exec_event()).encode()]
    body = b"".join(lines)
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    receipt = ingest_parts(services, parts)
    matching = sum(b'"ssh"' in line for line in lines)
    assert (receipt.received, receipt.matched) == (len(lines), matching)
    (rejection,) = receipt.rejected
    raw_event = rejection.event.raw_event
    assert (raw_event.index, raw_event.line) == (len(lines) - 2, len(lines) - 1)
    assert agent.send_events(body)["duplicates"] == matching


REFUSED_AT_THEIR_END: dict[str, tuple[str, bytes, int]] = {
    "a body too large": ("", b"".join(matching_lines(LIMIT)), 413),
    "a bomb after events": (
        "gzip",
        gzip.compress(b"".join(matching_lines(2 * BLOCK_BYTES)) + b"\n" * 50_000_000),
        413,
    ),
    "truncated gzip": ("gzip", gzip.compress(b"".join(matching_lines(2 * BLOCK_BYTES)))[:-4], 400),
    "too many events": ("", b"".join(matching_lines(BLOCK_BYTES)) + b"1\n" * 100_001, 413),
}


@pytest.mark.parametrize(
    ("encoding", "body", "status"), REFUSED_AT_THEIR_END.values(), ids=REFUSED_AT_THEIR_END.keys()
)
def test_a_body_that_is_refused_at_its_end_stores_nothing(
    agent: AgentClient, database: Database, encoding: str, body: bytes, status: int
) -> None:
    assert agent.send(body, **{"Content-Encoding": encoding}).status_code == status
    assert (count(database, Match), count(database, QuarantinedEvent)) == (0, 0)


def test_an_array_can_arrive_in_parts(agent: AgentClient, services: Services) -> None:
    events = [exec_event(note="x" * 3_000) for _ in range(500)]
    body = json.dumps(events, indent=1).encode()
    parts = [body[start : start + 10_000] for start in range(0, len(body), 10_000)]
    receipt = ingest_parts(services, parts)
    assert (receipt.received, receipt.matched, receipt.rejected) == (500, 500, ())


def test_a_request_beyond_the_memory_budget_gets_503_and_stores_nothing(
    agent: AgentClient, services: Services, database: Database
) -> None:
    event = exec_event()
    with services.pipeline.budget.reserve(key_id=99) as reservation:
        reservation.resize(100 * LIMIT)
        answer = agent.send(event)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert count(database, Match) == 0
    assert agent.send_events(event)["matched"] == 1
    assert services.pipeline.budget.reserved_bytes == 0


def test_one_key_cannot_use_the_whole_memory_budget() -> None:
    budget = MemoryBudget(100)
    with ExitStack() as stack:
        first, second, other = (stack.enter_context(budget.reserve(key)) for key in (1, 1, 2))
        first.resize(40)
        with pytest.raises(Unavailable):
            second.resize(20)
        second.resize(10)
        other.resize(50)
        with pytest.raises(Unavailable):
            other.resize(51)
        first.resize(0)
        other.resize(90)
    assert budget.reserved_bytes == 0


def test_a_single_request_may_exceed_the_memory_budget() -> None:
    with MemoryBudget(100).reserve(1) as reservation:
        reservation.resize(1_000)


def slow_body(pieces: Sequence[tuple[float, int]]) -> int:
    """Return the bytes read of a body; `pieces` are pairs of a delay in seconds and a size in bytes."""
    now = 0.0
    remaining = iter(pieces)
    read = 0

    async def receive() -> Message:
        nonlocal now
        seconds, size = next(remaining)
        now += seconds
        return {"type": "http.request", "body": b"x" * size, "more_body": True}

    async def app(_scope: object, receive: Any, _send: object) -> None:
        nonlocal read
        for _ in pieces:
            read += len((await receive())["body"])

    async def send(_: Message) -> None:
        pass

    limited = BodyLimitMiddleware(app, default_limit=10**9, limit_by_prefix={}, clock=lambda: now)
    scope = {"type": "http", "path": "/", "headers": []}
    run_in_new_event_loop(lambda: limited(scope, receive, send))
    return read


def test_a_body_that_arrives_too_slowly_is_refused() -> None:
    with pytest.raises(HTTPException, match="too slowly") as refusal:
        slow_body([(1, 1)] * (int(BODY_GRACE_SECONDS) + 2))
    assert refusal.value.status_code == 408
    assert refusal.value.headers == {"Connection": "close"}


def test_a_slow_body_above_the_minimum_rate_is_read() -> None:
    pieces = [(1.0, MIN_BYTES_PER_SECOND)] * (4 * int(BODY_GRACE_SECONDS))
    assert slow_body(pieces) == len(pieces) * MIN_BYTES_PER_SECOND


def test_a_body_that_stalls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "BODY_GRACE_SECONDS", 0.01)

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def app(_scope: object, receive: Any, _send: object) -> None:
        await receive()

    async def send(_: Message) -> None:
        pass

    limited = BodyLimitMiddleware(app, default_limit=1, limit_by_prefix={})
    scope = {"type": "http", "path": "/", "headers": []}
    with pytest.raises(HTTPException, match="too slowly"):
        run_in_new_event_loop(lambda: limited(scope, never, send))


def test_a_batch_that_timed_out_in_the_queue_is_not_stored(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SHUTDOWN_GRACE_SECONDS", 0.01)
    monkeypatch.setattr(writer, "WRITE_TIMEOUT_SECONDS", 0.01)
    stalled = Writer(database, clock=clock)
    rejected = new_rejection(RejectedEvent(RawEvent(0, 1, b"{"), "broken"))
    batch = Batch(1, (), (rejected,), received=1, body_bytes=1)
    with pytest.raises(Unavailable, match="busy"):
        run_in_new_event_loop(lambda: stalled.write(batch))
    stalled.start()
    stalled.stop()
    assert count(database, QuarantinedEvent) == 0


def test_stalled_bodies_do_not_block_other_requests(tmp_path: Path) -> None:
    key = run(tmp_path, "key", "create", "fleet", "--role", "agent").stdout.strip()
    head = (
        b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n"
        b"Authorization: Bearer " + key.encode() + b"\r\n\r\n{"
    )
    with running_server(tmp_path) as server, ExitStack() as stack:
        for _ in range(500):
            stalled = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS)
            stack.enter_context(stalled)
            stalled.sendall(head)
        assert server.send(key, exec_event())[0] == 200
        assert server.request("GET", "/login")[0] == 200


def test_a_traffic_count_beyond_64_bits_does_not_prevent_that_events_are_stored(
    database: Database, clock: FakeClock, agent: AgentClient
) -> None:
    running = Writer(database, clock=clock)
    running.start()
    try:
        for number in range(2):
            rejected = new_rejection(RejectedEvent(RawEvent(0, 1, b"%d" % number), "broken"))
            batch = Batch(1, (), (rejected,), received=1, body_bytes=2**64)
            run_in_new_event_loop(partial(running.write, batch))
    finally:
        running.stop()
    assert count(database, QuarantinedEvent) == 2
    with database.read() as session:
        (minute,) = session.exec(select(ApiKeyMinute))
    assert (minute.received, minute.bytes) == (2, 2**63 - 1)
