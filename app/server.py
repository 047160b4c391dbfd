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
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from app import memory
from app.domain.errors import Unusable
from app.web.metrics import SHARED_VARIABLE

# Requests in flight get this long; event streams and the writer have been told to end before.
GRACE_SECONDS = 1
# Bytes of a request line and its headers.
HEAD_LIMIT = 64 * 1024
# How long a connection may take to say what it wants.
HEAD_SECONDS = 30.0
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


class BoundedHead(HttpToolsProtocol):
    """uvicorn's, but a request whose head does not end is refused, and one whose head does not come is
    hung up on: they would be kept for ever.
    """

    _head_size = 0
    _in_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_size = 0
        self._wait_for_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _hang_up(self) -> None:
        before = self.cycle  # None, whatever uvicorn declares, until there was a request
        if before is not None and not before.response_complete:  # type: ignore[redundant-expr]
            self._wait_for_head()
        elif not self.transport.is_closing():
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # What ended the head in this piece may go on with the body, so only an unended one counts.
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > HEAD_LIMIT:
                self.send_400_response("The request's head is too long.")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises Unusable with a sentence when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
        http=BoundedHead,
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


def run_workers(factory: str, bound: socket.socket, workers: int) -> None:
    """Serve in `workers` processes, each of which builds its own application from the environment."""
    gc.enable()
    settings = config(factory)
    settings.workers = workers
    os.set_inheritable(bound.fileno(), True)
    with tempfile.TemporaryDirectory(prefix="deckwatch-metrics-") as folder:
        os.environ[SHARED_VARIABLE] = folder
        Multiprocess(settings, sockets=[bound]).run()
