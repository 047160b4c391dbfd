"""Whether the database takes writes, asked by writing, but not more often than that is worth."""

import os
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from app.domain.errors import Unavailable
from app.store import revisions
from app.store.database import Database

# Anybody may ask; nobody may make us write as often as they like.
FRESH_FOR = timedelta(seconds=1)
# With less room on its disk the few bytes of the question may still fit where events do not.
LEAST_FREE = 4 << 20


class Readiness:
    """One a process."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: datetime | None = None
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Why it takes no writes, None when it does; at most a second old."""
        with self._lock:
            now = self._clock()
            if self._asked is None or not timedelta() <= now - self._asked < FRESH_FOR:
                self._problem = self._try()
                self._asked = now
            return self._problem

    def _try(self) -> str | None:
        if self._is_full():
            return "The disk is full but for a few MiB; free some space."
        try:
            with self._database.write() as session:
                revisions.touch(session)
        except Unavailable as error:
            return str(error)
        return None

    def _is_full(self) -> bool:
        if self._database.path is None:
            return False
        try:
            disk = os.statvfs(self._database.path.absolute().parent)
        except OSError:
            return False  # writing will tell
        return disk.f_bavail * disk.f_frsize < LEAST_FREE
