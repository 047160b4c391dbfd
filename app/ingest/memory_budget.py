"""Limit on the bytes of events that requests hold in memory, in total and per API key."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.errors import Unavailable


class MemoryBudget:
    """Limits all requests together to `max_bytes`, and the requests of one API key to half of that.

    The limit per key ensures that no key blocks the others. The total limit does not apply to a request while
    no other request holds memory, and the limit of a key does not apply while the key has no other request. A
    single request has limits of its own, and if it could never get its memory, the agent would retry it for
    ever.
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
        """Return an empty reservation, which is released at the end of the `with` block."""
        reservation = MemoryReservation(self, key_id)
        try:
            yield reservation
        finally:
            reservation.resize(0)

    def resize(self, key_id: int, before: int, after: int) -> None:
        """Change a reservation of `key_id`; raises Unavailable when it grows beyond a limit."""
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
    """The bytes that one request holds."""

    def __init__(self, budget: MemoryBudget, key_id: int) -> None:
        self._budget = budget
        self._key_id = key_id
        self._reserved_bytes = 0

    def resize(self, size: int) -> None:
        """Set the reservation to `size` bytes; raises Unavailable and keeps the old size if refused."""
        self._budget.resize(self._key_id, self._reserved_bytes, size)
        self._reserved_bytes = size
