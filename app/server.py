"""Running the application under uvicorn: listening sockets, workers, limits and a fast shutdown.

Three classes override internals of uvicorn, because uvicorn has no settings for the required behaviour. The
overrides were checked against uvicorn 0.54. tests/server/test_uvicorn_overrides.py fails if the overridden
code of uvicorn changes.
"""

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

# Maximum time for which a shutdown waits for requests in flight. Before this time begins, the signal handler
# ends the event streams. After that, a request that waits too long for app.ingest.writer fails.
SHUTDOWN_GRACE_SECONDS = 1
# Maximum size of a request line with its headers. Deckwatch uses the HTTP parser httptools. uvicorn limits
# the size only for the HTTP parser h11.
MAX_HEAD_BYTES = 64 * 1024
# Interval between two checks of a connection. A check closes a connection that has had no activity since
# the previous check.
STALL_TIMEOUT_SECONDS = 30.0
LISTEN_BACKLOG = 2048


class CleanExitServer(uvicorn.Server):
    """A uvicorn server that exits with status 0 after SIGTERM or SIGINT.

    uvicorn's own class raises the signal again after the shutdown. The process then ends by a signal, as if
    it had failed, although the stop was requested.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous_handlers = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in previous_handlers.items():
                signal.signal(number, handler)


class LimitedHttpProtocol(HttpToolsProtocol):
    """HTTP protocol that limits the size of request heads and closes stalled connections.

    There are two kinds of stalled connections:

    - No request is in progress, and the client does not send a complete request head.
    - The client does not read the response.

    This class does not close a connection whose client stops sending a request body. `BodyLimitMiddleware`
    handles this case.
    """

    _head_size = 0
    _in_head = True
    # Counters of activity: request heads received, responses completed, and write buffers drained.
    _requests_received = _responses_completed = _writes_resumed = 0
    _last_activity: tuple[int, ...] = ()
    _stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows the type too
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
        # uvicorn copies each piece of a body twice. First it appends the piece to the bytearray `cycle.body`.
        # Later it converts the bytearray to `bytes` for the application. This method avoids both copies if
        # `cycle.body` is empty: it assigns the piece, which is a `bytes` object, to `cycle.body`.
        pending: bytes | bytearray = self.cycle.body
        if pending or self.cycle.response_complete:
            self.cycle.body = pending if isinstance(pending, bytearray) else bytearray(pending)
            super().on_body(body)
            return
        super().on_body(b"")
        self.cycle.body = body  # type: ignore[assignment]  # uvicorn only measures and reads it
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
        activity = self._requests_received, self._responses_completed, self._writes_resumed, unsent
        if activity == self._last_activity and (
            unsent or self._requests_received == self._responses_completed
        ):
            self.transport.abort()
            return
        self._last_activity = activity
        self._stall_timer = self.loop.call_later(STALL_TIMEOUT_SECONDS, self._check_for_stall)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # `_in_head` is still true here if `data` did not complete the head. Only then is `data` counted.
        # Data that completes the head is not counted, because this data may also contain a part of a large
        # body.
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD_BYTES:
                self.send_400_response("The head of the request is too large.")


class ReusePortSupervisor(Multiprocess):
    """Supervisor that gives each worker a listening socket of its own.

    The kernel distributes connections evenly over sockets with SO_REUSEPORT (socket(7)). On a shared
    socket the first worker to wake accepts all waiting connections and keeps them.
    """

    def __init__(self, config: uvicorn.Config, listening_sockets: Sequence[socket.socket]) -> None:
        self._listening_sockets = list(listening_sockets)
        self._socket_by_worker: dict[Process, socket.socket] = {}
        self._next_socket = self._listening_sockets[0]
        super().__init__(config, self._listening_sockets)

    @property
    def sockets(self) -> list[socket.socket]:
        """The socket for the next worker: the first socket that no running worker uses."""
        self._socket_by_worker = {
            worker: self._socket_by_worker.get(worker, self._next_socket)
            for worker in self.processes
        }
        used = [
            listening_socket
            for worker, listening_socket in self._socket_by_worker.items()
            if worker.process.is_alive()
        ]
        self._next_socket = next(
            (free for free in self._listening_sockets if free not in used),
            self._listening_sockets[0],
        )
        return [self._next_socket]

    @sockets.setter
    def sockets(self, _: list[socket.socket]) -> None:
        """Ignore the assignment in uvicorn's constructor, because each worker has a different socket."""

    def restart_all(self) -> None:
        """Replace the workers one after the other; start each new worker after the old worker has ended.

        The new worker uses the socket of the old worker. Connections wait in the backlog of this socket until
        the new worker accepts them. uvicorn's own method starts the new worker before the old one has ended.
        """
        for index, old_worker in enumerate(self.processes):
            old_worker.terminate()
            old_worker.join()
            self.processes[index] = Process(self.config, self.sockets)
            self.processes[index].start()


def open_worker_sockets(workers: int, host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each worker, all on the same port. Raises FatalError."""
    first_socket = open_listening_socket(host, port)
    if workers == 1:
        return [first_socket]
    # The first socket does not set SO_REUSEPORT, so `bind` fails if another program uses the port. This
    # socket is closed before the sockets of the workers are opened.
    with first_socket:
        port = first_socket.getsockname()[1]
    return [open_listening_socket(host, port, reuse_port=True) for _ in range(workers)]


def open_listening_socket(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """Return a listening socket; raises FatalError if it cannot be opened."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening_socket = socket.socket(family)
    listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listening_socket.bind((host, port))
        # Connections wait in the backlog while the application is built.
        listening_socket.listen(LISTEN_BACKLOG)
    except OSError as error:
        listening_socket.close()
        if error.errno == errno.EADDRINUSE:
            raise FatalError(
                f"Port {port} on {host} is in use; choose another with --port."
            ) from None
        raise FatalError(f"Cannot listen on port {port} of {host}: {error.strerror}.") from None
    except OverflowError:
        listening_socket.close()
        raise FatalError(f"Invalid port {port}: ports range from 0 to 65535.") from None
    except (UnicodeError, TypeError):  # `bind` cannot encode the host name for DNS.
        listening_socket.close()
        raise FatalError(f"Invalid host name “{host}”.") from None
    return listening_socket


def uvicorn_config(app: FastAPI | str) -> uvicorn.Config:
    """Return uvicorn's configuration for an application, or for the import path of its factory."""
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


def run(app: FastAPI, listening_socket: socket.socket) -> None:
    """Serve in this process until SIGTERM or SIGINT."""
    memory.retain_freed_memory()
    # Objects created during startup exist until the process ends, so the garbage collector need not examine
    # them.
    gc.freeze()
    gc.enable()
    CleanExitServer(uvicorn_config(app)).run(sockets=[listening_socket])


def run_workers(factory: str, listening_sockets: Sequence[socket.socket]) -> None:
    """Serve in one worker process per socket. Each worker builds its application from the environment.

    `factory` is the import path of the function that builds the application.
    """
    gc.enable()
    config = uvicorn_config(factory)
    config.workers = len(listening_sockets)
    for listening_socket in listening_sockets:
        os.set_inheritable(listening_socket.fileno(), True)
    with tempfile.TemporaryDirectory(prefix="deckwatch-metrics-") as folder:
        os.environ[MULTIPROC_DIR_VARIABLE] = folder
        ReusePortSupervisor(config, listening_sockets).run()
