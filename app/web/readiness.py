"""Whether the database takes writes, asked by writing, but not more often than that is worth."""

import os
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from app.domain.errors import Unavailable
from app.store import change_counters
from app.store.database import Database

# Anybody may ask; nobody may make us write as often as they like.
CACHE_TTL = timedelta(seconds=1)
# With less room on its disk the few bytes of the question may still fit where events do not.
MIN_FREE_BYTES = 4 << 20


class Readiness:
    """One a process."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._checked_at: datetime | None = None
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Why it takes no writes, None when it does; at most a second old."""
        with self._lock:
            now = self._clock()
            if self._checked_at is None or not timedelta() <= now - self._checked_at < CACHE_TTL:
                self._problem = self._check_writable()
                self._checked_at = now
            return self._problem

    def _check_writable(self) -> str | None:
        if self._is_disk_full():
            return "The disk is full but for a few MiB; free some space."
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
            return False  # writing will tell
        return disk.f_bavail * disk.f_frsize < MIN_FREE_BYTES
