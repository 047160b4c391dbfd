"""Running the application under uvicorn: the port, the workers, and an end within seconds."""

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from app import memory
from app.domain.errors import Unusable
from app.web.metrics import SHARED_VARIABLE

# Requests in flight get this long; event streams and the writer have been told to end before.
GRACE_SECONDS = 1
# Bytes of a request line and its headers.
HEAD_LIMIT = 64 * 1024
# A connection is cut off when nothing has happened on it from one look to the next.
STALLED_SECONDS = 30.0
BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn's, but a signal that was obeyed is not raised again: being told to stop is no failure."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Bounded(HttpToolsProtocol):
    """uvicorn's, but what would be kept for ever is not: a head without end is refused, and a connection
    on which nothing happens is cut off. Nothing happens where no head comes, or nobody takes the answer;
    bodies that stall are BodyLimit's.
    """

    _head_size = 0
    _in_head = True
    # Heads that came, answers that were made, and how often the other side took what had waited for it.
    _asked = _answered = _taken = 0
    _seen: tuple[int, ...] = ()
    _next_look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._asked += 1
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        # uvicorn adds to a bytearray what comes, and hands out a copy of that; what comes alone needs
        # neither.
        before: bytes | bytearray = self.cycle.body
        if before or self.cycle.response_complete:
            self.cycle.body = before if isinstance(before, bytearray) else bytearray(before)
            super().on_body(body)
            return
        super().on_body(b"")
        self.cycle.body = body  # type: ignore[assignment]  # it is only measured and read
        if len(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_response_complete(self) -> None:
        self._answered += 1
        super().on_response_complete()

    def resume_writing(self) -> None:
        self._taken += 1
        super().resume_writing()

    def _look(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        now = self._asked, self._answered, self._taken, unsent
        if now == self._seen and (unsent or self._asked == self._answered):
            self.transport.abort()
            return
        self._seen = now
        self._next_look = self.loop.call_later(STALLED_SECONDS, self._look)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # What ended the head in this piece may go on with the body, so only an unended one counts.
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > HEAD_LIMIT:
                self.send_400_response("The request's head is too long.")


class Workers(Multiprocess):
    """uvicorn's, but each worker listens on a socket of its own, among which the kernel deals out callers
    (socket(7), SO_REUSEPORT). On one for all, the first to wake takes all that wait, and keeps them.
    """

    def __init__(self, settings: uvicorn.Config, bound: Sequence[socket.socket]) -> None:
        self._bound = list(bound)
        self._of: dict[Process, socket.socket] = {}
        self._given = self._bound[0]
        super().__init__(settings, self._bound)

    @property
    def sockets(self) -> list[socket.socket]:
        """For the worker that is made next: one that no living worker has."""
        self._of = {worker: self._of.get(worker, self._given) for worker in self.processes}
        held = [one for worker, one in self._of.items() if worker.process.is_alive()]
        self._given = next((one for one in self._bound if one not in held), self._bound[0])
        return [self._given]

    @sockets.setter
    def sockets(self, _: list[socket.socket]) -> None:
        """uvicorn means the same for every worker."""

    def restart_all(self) -> None:
        """One by one, since the new one needs the socket of the old; callers queue there meanwhile."""
        for place, old in enumerate(self.processes):
            old.terminate()
            old.join()
            self.processes[place] = Process(self.config, self.sockets)
            self.processes[place].start()


def listen_for(workers: int, host: str, port: int) -> list[socket.socket]:
    """A listening socket for each worker, all on one port; raises what `listen` does."""
    bound = [listen(host, port)]
    if workers > 1:
        # The first has shown that the port is free: those that share one would not be told.
        with bound.pop() as first:
            port = first.getsockname()[1]
        bound += [listen(host, port, shared=True) for _ in range(workers)]
    return bound


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket; raises Unusable with a sentence when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
        # From here on callers queue instead of being refused while the application is built.
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        in_use = error.errno == errno.EADDRINUSE
        why = "is in use; choose another with --port" if in_use else f"fails: {error.strerror}"
        raise Unusable(f"Port {port} on {host} {why}.") from None
    except OverflowError:
        bound.close()
        raise Unusable(f"There is no port {port}: ports go from 0 to 65535.") from None
    except (UnicodeError, TypeError):  # from the encoding of names for DNS
        bound.close()
        raise Unusable(f"“{host}” is no host name.") from None
    return bound


def config(app: FastAPI | str) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        loop="uvloop",
        ws="none",
        http=Bounded,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def run(app: FastAPI, bound: socket.socket) -> None:
    """Serve in this process until told to stop."""
    memory.keep_freed()
    # All there is by now stays: nobody needs to look through it for garbage again.
    gc.freeze()
    gc.enable()
    Server(config(app)).run(sockets=[bound])


def run_workers(factory: str, bound: Sequence[socket.socket]) -> None:
    """Serve in a process for each socket, each of which builds its own application from the environment."""
    gc.enable()
    settings = config(factory)
    settings.workers = len(bound)
    for one in bound:
        os.set_inheritable(one.fileno(), True)
    with tempfile.TemporaryDirectory(prefix="deckwatch-metrics-") as folder:
        os.environ[SHARED_VARIABLE] = folder
        Workers(settings, bound).run()
