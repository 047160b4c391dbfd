"""A value that is computed at most once per interval."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

T = TypeVar("T")


class TtlCache(Generic[T]):
    """Caches the result of `compute` for `ttl`. Concurrent callers wait for a single computation."""

    def __init__(
        self, compute: Callable[[], T], *, ttl: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._compute = compute
        self._ttl = ttl
        self._clock = clock
        self._lock = threading.Lock()
        self._cached: tuple[datetime, T] | None = None

    def get(self) -> T:
        with self._lock:
            now = self._clock()
            # A negative age means that the clock was set back.
            if self._cached is None or not timedelta() <= now - self._cached[0] < self._ttl:
                self._cached = now, self._compute()
            return self._cached[1]
