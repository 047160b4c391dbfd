"""An HTTP client for benchmarks that uses little processor time.

It sends prepared bytes over plain sockets and keeps the connections open.
"""

import itertools
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from tests.bench.events import stamp_offsets, write_stamps
from tests.bench.report import NotMeasured

TIMEOUT_SECONDS = 120.0
# The largest number of bytes to receive at once; no response in the benchmark is longer.
_PIECE = 1 << 16

# Numbers for the stamps of all figures of a run. None is used twice, because an event that is sent again
# would be a duplicate.
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Call:
    """A POST request that is sent many times; `bodies` has one body for each connection."""

    path: str
    headers: dict[str, str]
    bodies: Sequence[bytes]

    def head(self, length: int) -> bytes:
        fields = {"Host": "127.0.0.1", **self.headers, "Content-Length": str(length)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode()


@dataclass(frozen=True, slots=True)
class Load:
    """The result of one round of load: the number of requests, the duration and the decoded responses."""

    requests: int
    seconds: float
    answers: list[Any]


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Return status and body of the next response, which must have a Content-Length."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += _more(connection)
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    if "content-length" not in fields:
        raise NotMeasured(f"an answer without a length: {lines[0]}")
    while len(body) < int(fields["content-length"]):
        body += _more(connection)
    return int(lines[0].split()[1]), body


def _more(connection: socket.socket) -> bytes:
    piece = connection.recv(_PIECE)
    if not piece:
        raise NotMeasured("the server hung up")
    return piece


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def run_load(port: int, call: Call, seconds: float) -> Load:
    """Send `call` repeatedly for `seconds`, with one connection for each of its bodies.

    Raises NotMeasured for a response with a status other than 200.
    """
    ready = threading.Barrier(len(call.bodies))
    with ThreadPoolExecutor(len(call.bodies)) as threads:
        running = [
            threads.submit(_one_connection, port, call, body, seconds, ready)
            for body in call.bodies
        ]
        ended = [thread.result() for thread in running]
    started = min(begin for begin, _, _ in ended)
    ready_at = max(end for _, end, _ in ended)
    answers = [json.loads(told) for _, _, some in ended for told in some]
    return Load(len(answers), ready_at - started, answers)


def _one_connection(
    port: int, call: Call, body: bytes, seconds: float, ready: threading.Barrier
) -> tuple[float, float, list[bytes]]:
    head = call.head(len(body))
    renewed = bytearray(body)
    places = stamp_offsets(renewed)
    answers = []
    with closing(connect(port)) as connection:
        ready.wait(TIMEOUT_SECONDS)
        started = now = perf_counter()
        while now < started + seconds:
            write_stamps(renewed, places, next(_numbers))
            connection.sendall(head)
            connection.sendall(renewed)
            status, told = answer(connection)
            if status != 200:
                raise NotMeasured(f"{call.path} answers {status}: {told[:200].decode('latin-1')}")
            answers.append(told)
            now = perf_counter()
    return started, now, answers


def ask(port: int, call: Call) -> tuple[int, Any]:
    """Send the first body once; return the status and the decoded response, or None if it is not JSON."""
    with closing(connect(port)) as connection:
        body = call.bodies[0]
        connection.sendall(call.head(len(body)) + body)
        status, told = answer(connection)
    try:
        return status, json.loads(told)
    except ValueError:
        return status, None


def send_concurrently(port: int, calls: Sequence[Iterator[bytes]]) -> list[int]:
    """Send several calls concurrently, each in pieces on its own connection; return the statuses."""

    def send(pieces: Iterator[bytes]) -> int:
        with closing(connect(port)) as connection:
            for piece in pieces:
                connection.sendall(piece)
            return answer(connection)[0]

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(send, calls))
