"""Limit on the bytes of events that requests hold in memory, in total and per API key."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.errors import Unavailable


class MemoryBudget:
    """Limits the memory that requests may reserve, in total and per API key.

    The total limit is `max_bytes`. The limit per key is half of `max_bytes`, so one key cannot use all the
    memory and block the other keys.

    A request that is alone may exceed a limit. The total limit does not apply while only one request holds
    memory. The limit per key does not apply while only one request of the key holds memory. Without these
    exceptions, a request larger than a limit would be refused at each retry. A single request cannot become
    too large, because its body size and its number of events are limited elsewhere.
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
        """Yield an empty reservation, and release it at the end of the `with` block."""
        reservation = MemoryReservation(self, key_id)
        try:
            yield reservation
        finally:
            reservation.resize(0)

    def resize(self, key_id: int, before: int, after: int) -> None:
        """Change a reservation of `key_id` from `before` to `after` bytes.

        Raises Unavailable if the reservation grows and a limit would be exceeded.
        """
        with self._lock:
            others = self._reserved_bytes - before
            of_key = self._reserved_by_key.get(key_id, 0) - before
            if after > before and (
                (others and others + after > self._max_bytes)
                or (of_key and of_key + after > self._max_bytes // 2)
            ):
                raise Unavailable(
                    "Too many events are being processed; send this again in a moment."
                )
            self._reserved_bytes = others + after
            self._reserved_by_key[key_id] = of_key + after
            if not self._reserved_by_key[key_id]:
                del self._reserved_by_key[key_id]


class MemoryReservation:
    """The bytes that one request has reserved in a MemoryBudget."""

    def __init__(self, budget: MemoryBudget, key_id: int) -> None:
        self._budget = budget
        self._key_id = key_id
        self._reserved_bytes = 0

    def resize(self, size: int) -> None:
        """Set the reservation to `size` bytes.

        Raises Unavailable and keeps the old size if a limit would be exceeded.
        """
        self._budget.resize(self._key_id, self._reserved_bytes, size)
        self._reserved_bytes = size
