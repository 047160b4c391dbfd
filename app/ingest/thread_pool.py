"""Thread pool for evaluation, separate from the threads that serve pages, with a limit per API key."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from app.domain.errors import Unavailable
from app.ingest.writer import STOPPING_MESSAGE

# The GIL lets one thread evaluate at a time; others can decompress, which releases it.
MAX_THREADS = 4
MAX_THREADS_PER_KEY = 2

T = TypeVar("T")


@dataclass(slots=True)
class _Task:
    """One call.

    `work` holds the function until a thread removes it to run it, or `wait` removes it to cancel the call.
    `done` belongs to `loop`.
    """

    work: list[Callable[[], Any]]
    done: asyncio.Event
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def run(self) -> None:
        try:
            work = self.work.pop()
        except IndexError:  # It was cancelled.
            return
        try:
            self.result = work()
        except BaseException as error:  # `wait` raises it in the caller.
            self.error = error
        with suppress(RuntimeError):  # The loop is closed, so no caller waits.
            self.loop.call_soon_threadsafe(self.done.set)

    async def wait(self) -> None:
        """Wait until the task ends. If the caller is cancelled, drop the task unless it already runs."""
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
    """Runs tasks in order of arrival. Tasks of a key at its thread limit wait while those of other keys run.

    Used on one event loop, until `stop`. Switching to one of anyio's worker threads takes as long as
    evaluating a small body, so this pool has its own.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._slots_by_key: dict[int, asyncio.Semaphore] = {}
        self._stopped = False

    async def run(self, key_id: int, work: Callable[[], T]) -> T:
        """Call `work` on a thread; return or raise its result. Raises Unavailable after `stop`."""
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
        """End the threads after the queued tasks."""
        self._stopped = True
        for _ in self._threads:
            self._queue.put(None)

    def _run_tasks(self) -> None:
        while (task := self._queue.get()) is not None:
            task.run()
            # An idle thread must not keep the last task's body in memory.
            del task
