"""Threads that judge events: few, none of those that serve pages, and no key can take them all."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

# Python judges on one core at a time; the others are for when one inflates, or waits for its turn.
THREADS = 4
THREADS_PER_KEY = 2

T = TypeVar("T")


class Turns:
    """Used on one event loop. Whoever asks first comes first, but for those whose key has its share."""

    def __init__(self) -> None:
        self._all = CapacityLimiter(THREADS)
        self._by_key: dict[int, CapacityLimiter] = {}

    async def run(self, key_id: int, work: Callable[[], T]) -> T:
        """What `work` returns or raises, done on a thread."""
        own = self._by_key.setdefault(key_id, CapacityLimiter(THREADS_PER_KEY))
        async with own:
            return await to_thread.run_sync(work, limiter=self._all)
