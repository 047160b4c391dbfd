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
from app.domain.errors import FatalError
from app.web.metrics import MULTIPROC_DIR_VARIABLE

# Requests in flight get this long; event streams and the writer have been told to end before.
SHUTDOWN_GRACE_SECONDS = 1
# Bytes of a request line and its headers.
MAX_HEAD_BYTES = 64 * 1024
# A connection is cut off when nothing has happened on it from one look to the next.
STALL_TIMEOUT_SECONDS = 30.0
LISTEN_BACKLOG = 2048


class CleanExitServer(uvicorn.Server):
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


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's, but what would be kept for ever is not: a head without end is refused, and a connection
    on which nothing happens is cut off. Nothing happens where no head comes, or nobody takes the answer;
    bodies that stall are BodyLimit's.
    """

    _head_size = 0
    _in_head = True
    # Heads that came, answers that were made, and how often the other side took what had waited for it.
    _requests_received = _responses_completed = _writes_resumed = 0
    _last_activity: tuple[int, ...] = ()
    _stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        super().connection_made(transport)
        self._check_for_stall()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._requests_received += 1
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
        self._responses_completed += 1
        super().on_response_complete()

    def resume_writing(self) -> None:
        self._writes_resumed += 1
        super().resume_writing()

    def _check_for_stall(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        now = self._requests_received, self._responses_completed, self._writes_resumed, unsent
        if now == self._last_activity and (
            unsent or self._requests_received == self._responses_completed
        ):
            self.transport.abort()
            return
        self._last_activity = now
        self._stall_timer = self.loop.call_later(STALL_TIMEOUT_SECONDS, self._check_for_stall)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # What ended the head in this piece may go on with the body, so only an unended one counts.
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD_BYTES:
                self.send_400_response("The request's head is too long.")


class ReusePortSupervisor(Multiprocess):
    """uvicorn's, but each worker listens on a socket of its own, among which the kernel deals out callers
    (socket(7), SO_REUSEPORT). On one for all, the first to wake takes all that wait, and keeps them.
    """

    def __init__(self, settings: uvicorn.Config, bound: Sequence[socket.socket]) -> None:
        self._listening_sockets = list(bound)
        self._socket_by_worker: dict[Process, socket.socket] = {}
        self._next_socket = self._listening_sockets[0]
        super().__init__(settings, self._listening_sockets)

    @property
    def sockets(self) -> list[socket.socket]:
        """For the worker that is made next: one that no living worker has."""
        self._socket_by_worker = {
            worker: self._socket_by_worker.get(worker, self._next_socket)
            for worker in self.processes
        }
        held = [one for worker, one in self._socket_by_worker.items() if worker.process.is_alive()]
        self._next_socket = next(
            (one for one in self._listening_sockets if one not in held), self._listening_sockets[0]
        )
        return [self._next_socket]

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


def open_worker_sockets(workers: int, host: str, port: int) -> list[socket.socket]:
    """A listening socket for each worker, all on one port; raises what `open_listening_socket` does."""
    bound = [open_listening_socket(host, port)]
    if workers > 1:
        # The first has shown that the port is free: those that share one would not be told.
        with bound.pop() as first:
            port = first.getsockname()[1]
        bound += [open_listening_socket(host, port, reuse_port=True) for _ in range(workers)]
    return bound


def open_listening_socket(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A listening socket; raises FatalError with a sentence when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
        # From here on callers queue instead of being refused while the application is built.
        bound.listen(LISTEN_BACKLOG)
    except OSError as error:
        bound.close()
        in_use = error.errno == errno.EADDRINUSE
        why = "is in use; choose another with --port" if in_use else f"fails: {error.strerror}"
        raise FatalError(f"Port {port} on {host} {why}.") from None
    except OverflowError:
        bound.close()
        raise FatalError(f"There is no port {port}: ports go from 0 to 65535.") from None
    except (UnicodeError, TypeError):  # from the encoding of names for DNS
        bound.close()
        raise FatalError(f"“{host}” is no host name.") from None
    return bound


def uvicorn_config(app: FastAPI | str) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        loop="uvloop",
        ws="none",
        http=LimitedHttpProtocol,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_SECONDS,
    )


def run(app: FastAPI, bound: socket.socket) -> None:
    """Serve in this process until told to stop."""
    memory.retain_freed_memory()
    # All there is by now stays: nobody needs to look through it for garbage again.
    gc.freeze()
    gc.enable()
    CleanExitServer(uvicorn_config(app)).run(sockets=[bound])


def run_workers(factory: str, bound: Sequence[socket.socket]) -> None:
    """Serve in a process for each socket, each of which builds its own application from the environment."""
    gc.enable()
    settings = uvicorn_config(factory)
    settings.workers = len(bound)
    for one in bound:
        os.set_inheritable(one.fileno(), True)
    with tempfile.TemporaryDirectory(prefix="deckwatch-metrics-") as folder:
        os.environ[MULTIPROC_DIR_VARIABLE] = folder
        ReusePortSupervisor(settings, bound).run()
