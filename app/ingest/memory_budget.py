"""How many bytes of events all requests together may hold in memory, and each key of them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.errors import Unavailable


class MemoryBudget:
    """`most` bytes for all; no key may take more than half of them, so that none can starve another.

    Whoever holds nothing but its own may hold any amount, which the limits of a request bound: what
    can never be taken must not be told to come again.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._reserved_bytes = 0
        self._reserved_by_key: dict[int, int] = {}

    @property
    def reserved_bytes(self) -> int:
        return self._reserved_bytes

    @contextmanager
    def reserve(self, key_id: int) -> Iterator["MemoryReservation"]:
        """What one request may hold while the block runs."""
        reservation = MemoryReservation(self, key_id)
        try:
            yield reservation
        finally:
            reservation.resize(0)

    def resize(self, key_id: int, before: int, after: int) -> None:
        """Raises Unavailable instead of holding too much."""
        with self._lock:
            others = self._reserved_bytes - before
            of_key = self._reserved_by_key.get(key_id, 0) - before
            if after > before and (
                (others and others + after > self._max_bytes)
                or (of_key and of_key + after > self._max_bytes // 2)
            ):
                raise Unavailable("Too many events are on their way; send this again in a moment.")
            self._reserved_bytes = others + after
            self._reserved_by_key[key_id] = of_key + after
            if not self._reserved_by_key[key_id]:
                del self._reserved_by_key[key_id]


class MemoryReservation:
    """One request's part of a budget."""

    def __init__(self, budget: MemoryBudget, key_id: int) -> None:
        self._budget = budget
        self._key_id = key_id
        self._reserved_bytes = 0

    def resize(self, size: int) -> None:
        """From now on this request holds `size` bytes; raises Unavailable when that is too much."""
        self._budget.resize(self._key_id, self._reserved_bytes, size)
        self._reserved_bytes = size
