"""Readiness check: whether the database accepts writes."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta

from app.domain.errors import Unavailable
from app.store import change_counters
from app.store.database import Database
from app.web.ttl_cache import TtlCache

# The endpoint `/readyz` is public, and each check writes to the database. A cache therefore limits the number
# of checks.
CACHE_TTL = timedelta(seconds=1)
# The check reports a full disk if the free space is below this limit. A test write alone does not suffice.
# The test write is small, so it may succeed although events no longer fit on the disk.
MIN_FREE_BYTES = 4 << 20


class Readiness:
    """Checks that the database accepts a write, at most once per `CACHE_TTL` in each process."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._cache = TtlCache(self._check_writable, ttl=CACHE_TTL, clock=clock)

    def problem(self) -> str | None:
        """Return the reason why the database does not accept writes, or None if it accepts them."""
        return self._cache.get()

    def _check_writable(self) -> str | None:
        if self._is_disk_full():
            return (
                f"The disk has less than {MIN_FREE_BYTES >> 20} MiB of free space; free some space."
            )
        try:
            with self._database.write() as session:
                change_counters.probe_write(session)
        except Unavailable as error:
            return str(error)
        return None

    def _is_disk_full(self) -> bool:
        if self._database.path is None:
            return False
        try:
            disk = os.statvfs(self._database.path.absolute().parent)
        except OSError:
            return False  # `_check_writable` reports the problem if the test write fails
        return disk.f_bavail * disk.f_frsize < MIN_FREE_BYTES
