"""Thread pool for the evaluation of events, with a maximum number of threads per API key.

Web pages are served on other threads.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from app.domain.errors import Unavailable
from app.ingest.writer import STOPPING_MESSAGE

# Because of the GIL, only one thread at a time can evaluate events. Decompression releases the GIL, so other
# threads can decompress at the same time.
MAX_THREADS = 4
MAX_THREADS_PER_KEY = 2

T = TypeVar("T")


@dataclass(slots=True)
class _Task:
    """One function call for the thread pool.

    `work` contains the function. A thread removes the function to run it, and `wait` removes the function to
    cancel the call. `done` may be used only on the event loop `loop`.
    """

    work: list[Callable[[], Any]]
    done: asyncio.Event
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def run(self) -> None:
        try:
            work = self.work.pop()
        except IndexError:  # `wait` has cancelled the call.
            return
        try:
            self.result = work()
        except BaseException as error:  # `FairThreadPool.run` raises this error.
            self.error = error
        with suppress(RuntimeError):  # If the loop is closed, no caller waits for `done`.
            self.loop.call_soon_threadsafe(self.done.set)

    async def wait(self) -> None:
        """Wait until the task ends. If the caller is cancelled before the task starts, drop the task.

        If the caller is cancelled after the task has started, wait until the task ends, and then raise
        CancelledError.
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
    """Runs tasks in order of arrival, at most MAX_THREADS_PER_KEY of one API key at the same time.

    If a key has more tasks, the additional tasks wait. Tasks of other keys run meanwhile. The pool can be
    used on only one event loop.

    The pool does not use anyio's worker threads, because the switch to such a thread is slow: it takes as
    long as the evaluation of a small body. The pool has its own threads instead.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._slots_by_key: dict[int, asyncio.Semaphore] = {}
        self._stopped = False

    async def run(self, key_id: int, work: Callable[[], T]) -> T:
        """Call `work` on a thread of the pool; return its result or raise its exception.

        Raises Unavailable after `stop`.
        """
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
        """Refuse further tasks, and end the threads after all queued tasks have run."""
        self._stopped = True
        for _ in self._threads:
            self._queue.put(None)

    def _run_tasks(self) -> None:
        while (task := self._queue.get()) is not None:
            task.run()
            # An idle thread would otherwise keep the request body of its last task in memory.
            del task
