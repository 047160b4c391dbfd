"""Threads that judge events: few, none of those that serve pages, and no key can take them all."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

# Python judges on one core at a time; the others are for when one inflates, or waits for its turn.
THREADS = 4
THREADS_PER_KEY = 2

T = TypeVar("T")


@dataclass(slots=True)
class _Turn:
    """One piece of work; `over` belongs to the event loop that waits for it."""

    work: Callable[[], Any]
    over: asyncio.Event
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def take(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:  # whoever waits has to hear of any
            self.error = error
        with suppress(RuntimeError):  # the loop is closed, so nobody waits
            self.loop.call_soon_threadsafe(self.over.set)


class Turns:
    """Used on one event loop, until `stop`. Whoever asks first comes first, but for those whose key has
    its share.

    Not anyio's threads: to hand them a small body took as long as to judge it.
    """

    def __init__(self) -> None:
        self._waiting: SimpleQueue[_Turn | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._by_key: dict[int, asyncio.Semaphore] = {}

    async def run(self, key_id: int, work: Callable[[], T]) -> T:
        """What `work` returns or raises, done on a thread; whoever is cancelled waits for its end first."""
        async with self._by_key.setdefault(key_id, asyncio.Semaphore(THREADS_PER_KEY)):
            turn = _Turn(work, asyncio.Event(), asyncio.get_running_loop())
            self._waiting.put(turn)
            if len(self._threads) < THREADS:
                self._threads.append(
                    threading.Thread(target=self._serve, name="judge", daemon=True)
                )
                self._threads[-1].start()
            await _ended(turn.over)
        if turn.error is not None:
            raise turn.error
        result: T = turn.result
        return result

    def stop(self) -> None:
        """End the threads when what waits is done."""
        for _ in self._threads:
            self._waiting.put(None)

    def _serve(self) -> None:
        while (turn := self._waiting.get()) is not None:
            turn.take()


async def _ended(over: asyncio.Event) -> None:
    """Returns when `over` is set, and only then, also when the task is cancelled meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    while not over.is_set():
        try:
            await over.wait()
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
