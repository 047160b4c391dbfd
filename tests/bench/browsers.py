"""Benchmark of live updates: the time from an agent's POST until 500 open pages are notified."""

import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from tests.bench.events import MATCHING_EVERY, events, stamp_offsets, write_stamps
from tests.bench.load import TIMEOUT_SECONDS, Call, answer, connect
from tests.bench.report import Measurement, NotMeasured, without_peer
from tests.bench.scale import BenchScale
from tests.bench.servers import deckwatch, make_key
from tests.bench.service import EVENTS

BROWSERS = 500
POSTS = 12
STREAM = "/api/v1/stream"
ALERTS_EVENT = b"event: alerts"
# The server may notify the browsers a second time after it has polled the database. The benchmark waits
# this long, so that a late notification is not counted for the next POST.
QUIET_SECONDS = 1.3


class _StreamReaders:
    """Connections to the event stream. One thread reads them all, to add little delay."""

    def __init__(self, poll: select.epoll, browsers: Sequence[socket.socket]) -> None:
        self._poll = poll
        self._by_number = {browser.fileno(): browser for browser in browsers}

    def heard(self, seconds: float, enough: int | None = None) -> dict[int, float]:
        """Return the first notification time of each connection that is notified within `seconds`.

        Returns early as soon as `enough` connections are notified.
        """
        told: dict[int, float] = {}
        until = perf_counter() + seconds
        while len(told) != enough and (left := until - perf_counter()) > 0:
            for number, _ in self._poll.poll(left):
                piece = self._by_number[number].recv(4096)
                if not piece:
                    raise NotMeasured("a stream ended")
                if ALERTS_EVENT in piece:
                    told.setdefault(number, perf_counter())
        return told


def post_to_browser(scale: BenchScale) -> Measurement:
    """Measure the p99, over all browsers and POSTs, of the time from sending a POST to its notification."""
    matching = events(MATCHING_EVERY)[MATCHING_EVERY // 2]
    waits: list[float] = []
    again = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        agent, analyst = make_key(folder, "agent"), make_key(folder, "analyst")
        server = stack.enter_context(deckwatch(folder))
        crowd = stack.enter_context(_listening(server.port, analyst))
        sender = stack.enter_context(connect(server.port))
        call = Call(EVENTS, {"Authorization": f"Bearer {agent}"}, ())
        for number in range(scale.load_rounds * POSTS + 1):
            body = bytearray(matching)
            write_stamps(body, stamp_offsets(body), number + 1)
            started = perf_counter()
            sender.sendall(call.head(len(body)) + body)
            told = crowd.heard(TIMEOUT_SECONDS / 10, BROWSERS)
            if len(told) < BROWSERS:
                raise NotMeasured(f"only {len(told)} of {BROWSERS} browsers were told")
            if number:  # the first POST is a warm-up and not counted
                waits += (at - started for at in told.values())
            if answer(sender)[0] != 200:
                raise NotMeasured("a POST was refused")
            again += len(crowd.heard(QUIET_SECONDS))
    waits.sort()
    posts = len(waits) // BROWSERS
    note = f"{posts} POSTs; median {_ms(waits[len(waits) // 2]):.1f} ms"
    if again:
        note += (
            f"; {again / BROWSERS / (posts + 1):.0%} were told once more within {QUIET_SECONDS} s"
        )
    return without_peer(_ms(waits[int(len(waits) * 0.99)]), "ms", note)


@contextmanager
def _listening(port: int, key: str) -> Iterator[_StreamReaders]:
    """Open `BROWSERS` event streams, each of which has received the server's first message."""
    request = f"GET {STREAM} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n"
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        browsers = [stack.enter_context(connect(port)) for _ in range(BROWSERS)]
        for browser in browsers:
            browser.sendall(request.encode())
            greeting = b""
            while b": connected" not in greeting:
                piece = browser.recv(4096)
                if not piece or (not greeting and b" 200 " not in piece):
                    raise NotMeasured(f"a stream was answered {piece[:80].decode('latin-1')}")
                greeting += piece
            browser.setblocking(False)
            poll.register(browser, select.EPOLLIN)
        yield _StreamReaders(poll, browsers)


def _ms(seconds: float) -> float:
    return seconds * 1_000
