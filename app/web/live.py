"""Telling browsers that something changed, by server-sent events; they fetch what by themselves."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable

from app.domain.errors import Unavailable

# Comments keep proxies from closing a silent stream (HTML standard, server-sent events, 9.2.7).
HEARTBEAT_SECONDS = 15.0
# How often it is looked for what other processes have changed.
POLL_SECONDS = 0.5

# What no counter says.
_NO_REVISION = -1

log = logging.getLogger(__name__)


async def poll_forever(poll: Callable[[], None], failure_message: str) -> None:
    """Call `look` on a thread, again and again, until cancelled. One that fails is told with the words
    `failed`, once in a row, and does not keep the next from coming.
    """
    is_failing = False
    while True:
        await asyncio.sleep(POLL_SECONDS)
        try:
            await asyncio.to_thread(poll)
            is_failing = False
        except Exception as error:
            if not is_failing:
                expected = isinstance(error, Unavailable)
                log.warning("%s: %s", failure_message, error, exc_info=None if expected else error)
            is_failing = True


class LiveUpdates:
    """One a process. `revision` reads the counter that every process bumps; it may raise.

    `changed` may be called from any thread; `stop` ends all streams, so that they do not hold up
    a shutdown.
    """

    def __init__(self, revision: Callable[[], int]) -> None:
        self._read_revision = revision
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[asyncio.Event] = set()
        self._stopping = False
        self._last_revision = _NO_REVISION
        self._poll_lock = threading.Lock()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def stop(self) -> None:
        self._stopping = True
        self._schedule_wake()

    def publish_change(self, revision: int) -> None:
        """Tell browsers of a committed change, unless `watch` has already told them of this revision."""
        if not self._listeners:
            self._last_revision = _NO_REVISION
            return
        with self._poll_lock:
            if revision > self._last_revision:
                self._last_revision = revision
                self._schedule_wake()

    def _schedule_wake(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: no stream is left
                self._loop.call_soon_threadsafe(self._wake_listeners)

    def _wake_listeners(self) -> None:
        for listener in self._listeners:
            listener.set()

    async def watch(self) -> None:
        """Notice what other processes changed, for as long as somebody listens; runs until cancelled."""
        await poll_forever(self._poll, "the streams cannot look for changes")

    def _poll(self) -> None:
        if not self._listeners:
            self._last_revision = _NO_REVISION
            return
        self.publish_change(self._read_revision())

    def _record_revision(self) -> None:
        """From now on changes are told: those before are in the page that the browser has."""
        with self._poll_lock, contextlib.suppress(Unavailable):
            if self._last_revision == _NO_REVISION:
                self._last_revision = self._read_revision()

    async def stream(self) -> AsyncIterator[bytes]:
        """The bytes of one browser's event stream: `event: alerts` whenever alerts changed."""
        listener = asyncio.Event()
        self._listeners.add(listener)
        try:
            await asyncio.to_thread(self._record_revision)
            yield b"retry: 2000\n: connected\n\n"
            while not self._stopping:
                try:
                    await asyncio.wait_for(listener.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield b": beat\n\n"
                    continue
                listener.clear()
                if not self._stopping:
                    yield b"event: alerts\ndata: changed\n\n"
        finally:
            self._listeners.discard(listener)
