"""Running the application under uvicorn: the port, the workers, and an end within seconds."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from app.domain.errors import Unusable

# Requests in flight get this long; event streams have been told to end before.
GRACE_SECONDS = 2
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
        why = "is in use; choose another with --port" if error.errno == 98 else error.strerror
        raise Unusable(f"Port {port} on {host} {why}.") from None
    except OverflowError:
        bound.close()
        raise Unusable(f"There is no port {port}: ports go from 0 to 65535.") from None
    except UnicodeError:  # from the encoding of names in DNS
        bound.close()
        raise Unusable(f"“{host}” is no host name.") from None
    return bound


def config(app: FastAPI | str) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        # Header bytes one request may bring before it is refused.
        h11_max_incomplete_event_size=64 * 1024,
    )


def run(app: FastAPI, bound: socket.socket) -> None:
    """Serve in this process until told to stop."""
    Server(config(app)).run(sockets=[bound])


def run_workers(factory: str, bound: socket.socket, workers: int) -> None:
    """Serve in `workers` processes, each of which builds its own application from the environment."""
    settings = config(factory)
    settings.workers = workers
    os.set_inheritable(bound.fileno(), True)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    Multiprocess(settings, sockets=[bound]).run()
