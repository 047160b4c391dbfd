"""How many bytes of events all requests together may hold in memory, and each key of them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.errors import Unavailable


class Budget:
    """`most` bytes for all; no key may take more than half of them, so that none can starve another.

    Whoever holds nothing but its own may hold any amount, which the limits of a request bound: what
    can never be taken must not be told to come again.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held = 0
        self._by_key: dict[int, int] = {}

    @property
    def held(self) -> int:
        return self._held

    @contextmanager
    def share(self, key_id: int) -> Iterator["Share"]:
        """What one request may hold while the block runs."""
        share = Share(self, key_id)
        try:
            yield share
        finally:
            share.hold(0)

    def change(self, key_id: int, before: int, after: int) -> None:
        """Raises Unavailable instead of holding too much."""
        with self._lock:
            others = self._held - before
            of_key = self._by_key.get(key_id, 0) - before
            if after > before and (
                (others and others + after > self._most)
                or (of_key and of_key + after > self._most // 2)
            ):
                raise Unavailable("Too many events are on their way; send this again in a moment.")
            self._held = others + after
            self._by_key[key_id] = of_key + after
            if not self._by_key[key_id]:
                del self._by_key[key_id]


class Share:
    """One request's part of a budget."""

    def __init__(self, budget: Budget, key_id: int) -> None:
        self._budget = budget
        self._key_id = key_id
        self._held = 0

    def hold(self, size: int) -> None:
        """From now on this request holds `size` bytes; raises Unavailable when that is too much."""
        self._budget.change(self._key_id, self._held, size)
        self._held = size
