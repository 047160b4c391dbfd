"""Promises 5, 10 and 11: overload, one agent that floods the server, and slow clients.

Promise 5: under overload, requests are refused and no accepted event is lost. Promise 10: one agent cannot
keep the server from answering another. Promise 11: slow clients do not delay other clients.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, perf_counter

import pytest

from tests.factories import benign_event, exec_event
from tests.processes import TIMEOUT_SECONDS, ServerProcess, running_server, wait_until
from tests.promises.ground import FULL_RUN, make_key, report, stored_event_ids

SECONDS = 180.0 if FULL_RUN else 4.0
# All requests together may hold as many bytes as four bodies of the largest size. This test sends
# five times as many bytes at once.
BODY_BYTES = 2 << 20
AT_ONCE = 20
MAX_MEMORY_MB = 250
MATCHING = 5
BROKEN = b'{"event":'
QUIET = 200 if FULL_RUN else 40
STALLED = 500


@dataclass
class Tally:
    """Counts of all senders. `events` is the number of events in answered requests."""

    events: int = 0
    accepted: int = 0
    rejected: int = 0
    refused: int = 0
    requests: int = 0
    refusals: int = 0
    acknowledged: set[str] = field(default_factory=set)
    unexpected_answers: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def large_body(mark: str) -> tuple[bytes, int, set[str]]:
    """Return a body of nearly the largest size, its number of events and the ids of its matching events."""
    names = {f"{mark}-{number}" for number in range(MATCHING)}
    quiet = json.dumps(benign_event()).encode()
    times = BODY_BYTES // (len(quiet) + 1) - 2 * MATCHING
    lines = [json.dumps(exec_event(event_id=name)).encode() for name in names]
    body = b"\n".join([*[quiet] * times, BROKEN, *lines])
    return body, times + 1 + MATCHING, names


def send_until(
    server: ServerProcess, key: str, number: int, until_then: float, tally: Tally
) -> None:
    count = 0
    while monotonic() < until_then:
        body, events, names = large_body(f"load-{number}-{count}")
        count += 1
        status, headers, told = server.request(
            "POST", "/api/v1/events", body, Authorization=f"Bearer {key}"
        )
        with tally.lock:
            tally.requests += 1
            tally.events += events
            if status == 200:
                receipt = json.loads(told)
                tally.rejected += len(receipt["rejected"])
                tally.accepted += receipt["received"] - len(receipt["rejected"])
                tally.acknowledged |= names
            elif status in (429, 503) and "retry-after" in headers:
                tally.refused += events
                tally.refusals += 1
            else:
                tally.unexpected_answers.append(f"{status} {told[:200]!r}")


def metric(server: ServerProcess, name: str) -> float:
    text = server.request("GET", "/metrics")[2].decode()
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith((f"{name} ", f"{name}{{"))
    )


def peak_memory_mb(server: ServerProcess) -> float:
    """Return the largest resident memory of the server so far, in MB (proc(5), VmHWM)."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    [found] = [line for line in lines if line.startswith("VmHWM:")]
    return int(found.split()[1]) * 1024 / 1e6


def test_overload_is_refused_and_nothing_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [make_key(tmp_path, f"agent-{number}") for number in range(4)]
    tally = Tally()
    with running_server(tmp_path, MAX_BODY_BYTES=str(BODY_BYTES)) as server:
        end = monotonic() + SECONDS
        with ThreadPoolExecutor(AT_ONCE) as senders:
            running = [
                senders.submit(send_until, server, keys[number % 4], number, end, tally)
                for number in range(AT_ONCE)
            ]
            for sender in running:
                sender.result()
        received = metric(server, "deckwatch_events_received_total")
        rejected = metric(server, "deckwatch_events_rejected_total")
        memory = peak_memory_mb(server)
        assert server.request("GET", "/readyz")[0] == 200
        assert server.stop() == 0
    there = stored_event_ids(tmp_path)
    report(
        capsys,
        5,
        f"{SECONDS:.0f} s of {AT_ONCE} bodies of {BODY_BYTES >> 20} MiB at once, {tally.requests:,} "
        f"requests of which {tally.refusals:,} refused; {tally.events:,} events = {tally.accepted:,} "
        f"accepted + {tally.rejected:,} rejected + {tally.refused:,} refused; {len(there):,} matches "
        f"stored of {len(tally.acknowledged):,} acknowledged; {memory:.0f} MB at most",
    )
    assert tally.unexpected_answers == []
    assert tally.refusals, "nothing was refused, so this was no overload"
    assert tally.events == tally.accepted + tally.rejected + tally.refused
    assert (received, rejected) == (tally.accepted + tally.rejected, tally.rejected)
    assert there == tally.acknowledged
    assert memory < MAX_MEMORY_MB


def send_slowly(server: ServerProcess, key: str, mark: str) -> list[float]:
    """Post one event after the other, like a quiet agent; return the sorted durations in seconds."""
    took = []
    for number in range(QUIET):
        begun = perf_counter()
        status, _, told = server.send(key, exec_event(event_id=f"{mark}-{number}"))
        took.append(perf_counter() - begun)
        assert (status, told["matched"]) == (200, 1)
    return sorted(took)


def test_an_agent_that_floods_does_not_starve_a_quiet_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loud, quiet = make_key(tmp_path, "loud"), make_key(tmp_path, "quiet")
    tally = Tally()
    ended = threading.Event()

    def flood(server: ServerProcess, number: int) -> None:
        count = 0
        while not ended.is_set():
            count += 1
            until_then = monotonic() + 0.001  # time to start one request
            send_until(server, loud, number * 1_000_000 + count, until_then, tally)

    with running_server(tmp_path, MAX_BODY_BYTES=str(BODY_BYTES)) as server:
        with ThreadPoolExecutor(AT_ONCE) as senders:
            running = [senders.submit(flood, server, number) for number in range(8)]
            try:
                wait_until(lambda: tally.requests >= 8, "the flood")
                took = send_slowly(server, quiet, "quiet")
            finally:
                ended.set()
            for sender in running:
                sender.result()
        assert server.stop() == 0
    slow = took[int(len(took) * 0.99)]
    report(
        capsys,
        10,
        f"{QUIET} events of a quiet agent among {tally.events:,} of a loud one: p99 {slow * 1000:.0f} ms",
    )
    assert tally.unexpected_answers == []
    assert tally.events > 100 * QUIET
    assert len({name for name in stored_event_ids(tmp_path) if name.startswith("quiet-")}) == QUIET
    assert not FULL_RUN or slow < 1


@contextmanager
def stalled_clients(server: ServerProcess, key: str) -> Iterator[None]:
    """Open sockets that send a part of a request, or nothing, and stay open without sending the rest."""
    head = f"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n".encode()
    ways = (
        head[:20],
        head,
        head + b"Content-Length: 1000000\r\n\r\n" + b'{"event":{},"x":"' + b"x" * 50_000,
        head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}\n{}\r\n",
        b"",
    )
    with ExitStack() as stack:
        for number in range(STALLED):
            caller = stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS)
            )
            with contextlib.suppress(BlockingIOError):
                caller.sendall(ways[number % len(ways)])
        yield


def test_slow_clients_do_not_stall_others(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = make_key(tmp_path, "fast")
    with running_server(tmp_path) as server:
        with stalled_clients(server, key):
            took = send_slowly(server, fast, "fast")
        assert server.stop() == 0
    slow = took[int(len(took) * 0.99)]
    report(capsys, 11, f"{QUIET} events beside {STALLED} stalled sockets: p99 {slow * 1000:.0f} ms")
    assert len(stored_event_ids(tmp_path)) == QUIET
    assert not FULL_RUN or slow < 2
