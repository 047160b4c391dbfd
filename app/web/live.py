"""Telling browsers that something changed, by server-sent events; they fetch what by themselves."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable

from app.domain.errors import Unavailable

# Comments keep proxies from closing a silent stream (HTML standard, server-sent events, 9.2.7).
BEAT_SECONDS = 15.0
# How often it is looked for what other processes have changed.
LOOK_SECONDS = 0.5

# What no counter says.
_UNKNOWN = -1

log = logging.getLogger(__name__)


async def keep_looking(look: Callable[[], None], failed: str) -> None:
    """Call `look` on a thread, again and again, until cancelled. One that fails is told with the words
    `failed`, once in a row, and does not keep the next from coming.
    """
    fails = False
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await asyncio.to_thread(look)
            fails = False
        except Exception as error:
            if not fails:
                expected = isinstance(error, Unavailable)
                log.warning("%s: %s", failed, error, exc_info=None if expected else error)
            fails = True


class Live:
    """One a process. `revision` reads the counter that every process bumps; it may raise.

    `changed` may be called from any thread; `stop` ends all streams, so that they do not hold up
    a shutdown.
    """

    def __init__(self, revision: Callable[[], int]) -> None:
        self._revision = revision
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[asyncio.Event] = set()
        self._stopping = False
        self._seen = _UNKNOWN
        self._one_at_a_time = threading.Lock()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def stop(self) -> None:
        self._stopping = True
        self._wake_soon()

    def changed(self, revision: int) -> None:
        """Tell browsers of a committed change, unless `watch` has already told them of this revision."""
        if not self._listeners:
            self._seen = _UNKNOWN
            return
        with self._one_at_a_time:
            if revision > self._seen:
                self._seen = revision
                self._wake_soon()

    def _wake_soon(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: no stream is left
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for listener in self._listeners:
            listener.set()

    async def watch(self) -> None:
        """Notice what other processes changed, for as long as somebody listens; runs until cancelled."""
        await keep_looking(self._look, "the streams cannot look for changes")

    def _look(self) -> None:
        if not self._listeners:
            self._seen = _UNKNOWN
            return
        self.changed(self._revision())

    def _begin(self) -> None:
        """From now on changes are told: those before are in the page that the browser has."""
        with self._one_at_a_time, contextlib.suppress(Unavailable):
            if self._seen == _UNKNOWN:
                self._seen = self._revision()

    async def stream(self) -> AsyncIterator[bytes]:
        """The bytes of one browser's event stream: `event: alerts` whenever alerts changed."""
        listener = asyncio.Event()
        self._listeners.add(listener)
        try:
            await asyncio.to_thread(self._begin)
            yield b"retry: 2000\n: connected\n\n"
            while not self._stopping:
                try:
                    await asyncio.wait_for(listener.wait(), BEAT_SECONDS)
                except TimeoutError:
                    yield b": beat\n\n"
                    continue
                listener.clear()
                if not self._stopping:
                    yield b"event: alerts\ndata: changed\n\n"
        finally:
            self._listeners.discard(listener)
