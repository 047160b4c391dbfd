"""Live updates: server-sent events that tell browsers to reload alerts."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable

from app.domain.errors import Unavailable

# A stream without events sends a comment line at this interval, because proxies may close an idle connection
# (HTML standard, section 9.2.7).
HEARTBEAT_SECONDS = 15.0
# Interval at which a process checks for changes by other processes.
POLL_SECONDS = 0.5
# The value of an unknown revision. Counters start at 0, so no counter has this value.
_NO_REVISION = -1

log = logging.getLogger(__name__)


async def poll_forever(poll: Callable[[], None], failure_message: str) -> None:
    """Call `poll` in a thread every `POLL_SECONDS` seconds, until the task is cancelled.

    A failure of `poll` does not end the loop. If several calls in a row fail, only the first failure is
    logged, with `failure_message`.
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
    """The event streams of this process. A stream sends an event when the revision of the alerts changes.

    The revision is a counter in the database that every process increments when it changes an alert.
    `read_revision` reads the counter, and may raise Unavailable. `publish_change` may be called in any
    thread. `stop` ends all streams, because an open stream would delay the shutdown.
    """

    def __init__(self, read_revision: Callable[[], int]) -> None:
        self._read_revision = read_revision
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
        """Notify the open streams of a committed change, unless they were already notified of `revision`."""
        if not self._listeners:
            self._last_revision = _NO_REVISION
            return
        with self._poll_lock:
            if revision > self._last_revision:
                self._last_revision = revision
                self._schedule_wake()

    def _schedule_wake(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, so no stream is open
                self._loop.call_soon_threadsafe(self._wake_listeners)

    def _wake_listeners(self) -> None:
        for listener in self._listeners:
            listener.set()

    async def watch(self) -> None:
        """Notify the open streams of changes by other processes.

        The method runs until the task is cancelled.
        """
        await poll_forever(self._poll, "changed alerts cannot be polled")

    def _poll(self) -> None:
        if not self._listeners:
            self._last_revision = _NO_REVISION
            return
        self.publish_change(self._read_revision())

    def _record_revision(self) -> None:
        """Read the revision from the database, unless `_last_revision` already contains a revision.

        The streams then send only changes that follow this revision. The page that opens a stream already
        shows all earlier changes.
        """
        with self._poll_lock, contextlib.suppress(Unavailable):
            if self._last_revision == _NO_REVISION:
                self._last_revision = self._read_revision()

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the event stream of one browser: `event: alerts` after each change of alerts."""
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
