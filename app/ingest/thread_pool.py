"""Threads that judge events: few, none of those that serve pages, and no key can take them all."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from app.domain.errors import Unavailable
from app.ingest.writer import STOPPING_MESSAGE

# Python judges on one core at a time; the others are for when one inflates, or waits for its turn.
MAX_THREADS = 4
MAX_THREADS_PER_KEY = 2

T = TypeVar("T")


@dataclass(slots=True)
class _Task:
    """One piece of work, which whoever takes it out of `work` has to do, or has given up; `over` belongs
    to the event loop that waits for it.
    """

    work: list[Callable[[], Any]]
    done: asyncio.Event
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def run(self) -> None:
        try:
            work = self.work.pop()
        except IndexError:  # given up
            return
        try:
            self.result = work()
        except BaseException as error:  # whoever waits has to hear of any
            self.error = error
        with suppress(RuntimeError):  # the loop is closed, so nobody waits
            self.loop.call_soon_threadsafe(self.done.set)

    async def wait(self) -> None:
        """Returns at the end. Whoever is cancelled gives up work that nobody has begun; what was begun is
        waited for.
        """
        cancelled: asyncio.CancelledError | None = None
        while not self.done.is_set():
            try:
                await self.done.wait()
            except asyncio.CancelledError as error:
                cancelled = error
                if self.work:
                    with suppress(IndexError):
                        self.work.pop()
                        break
        if cancelled is not None:
            raise cancelled


class FairThreadPool:
    """Used on one event loop, until `stop`. Whoever asks first comes first, but for those whose key has
    its share.

    Not anyio's threads: to hand them a small body took as long as to judge it.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._slots_by_key: dict[int, asyncio.Semaphore] = {}
        self._stopped = False

    async def run(self, key_id: int, work: Callable[[], T]) -> T:
        """What `work` returns or raises, done on a thread. Raises Unavailable after `stop`."""
        async with self._slots_by_key.setdefault(key_id, asyncio.Semaphore(MAX_THREADS_PER_KEY)):
            if self._stopped:
                raise Unavailable(STOPPING_MESSAGE, 2)
            if len(self._threads) < MAX_THREADS:
                thread = threading.Thread(target=self._run_tasks, name="evaluate", daemon=True)
                thread.start()
                self._threads.append(thread)
            task = _Task([work], asyncio.Event(), asyncio.get_running_loop())
            self._queue.put(task)
            await task.wait()
        if task.error is not None:
            raise task.error
        result: T = task.result
        return result

    def stop(self) -> None:
        """End the threads when what waits is done."""
        self._stopped = True
        for _ in self._threads:
            self._queue.put(None)

    def _run_tasks(self) -> None:
        while (task := self._queue.get()) is not None:
            task.run()
            # Who waits for the next one must not keep what this one held.
            del task
