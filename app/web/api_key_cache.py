"""The keys that are presented again and again, so that a request need not ask the database whose it is."""

import threading

from app.actions.credentials import hash_token
from app.domain.errors import Unavailable
from app.domain.principal import Principal, Role
from app.store import api_keys, change_counters
from app.store.database import Database


class ApiKeyCache:
    """One a process; making one raises Unavailable. A key that was revoked elsewhere is refused from the
    next `refresh` on, one that was revoked here from `forget` on.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._revision = -1
        self._principals: dict[str, Principal] = {}
        self.refresh()

    def get_cached(self, text: str) -> Principal | None:
        """Whose key this is, if that was looked up since a key was revoked; asks nobody."""
        return self._principals.get(hash_token(text))

    def look_up(self, text: str) -> Principal | None:
        """The same from the database, None when unknown or revoked; raises Unavailable."""
        presented = hash_token(text)
        with self._database.read() as session:
            # The counter first: with a key that is revoked in between, an old counter is kept.
            revision = change_counters.current(session, change_counters.KEYS)
            key = api_keys.get_by_hash(session, presented)
        if key is None or key.revoked_at is not None:
            return None
        found = Principal(name=key.name, role=Role(key.role), address="", key_id=key.id)
        with self._lock:
            if revision == self._revision:
                self._principals[presented] = found
        return found

    def clear(self) -> None:
        """What is known may be revoked by now: keep nothing until the next `refresh`."""
        with self._lock:
            self._principals, self._revision = {}, -1

    def refresh(self) -> None:
        """Forget them all if a key was revoked, here or in another process, or if nobody can tell:
        then raises Unavailable.
        """
        try:
            with self._database.read() as session:
                revision = change_counters.current(session, change_counters.KEYS)
        except Unavailable:
            self.clear()
            raise
        with self._lock:
            if revision != self._revision:
                self._principals, self._revision = {}, revision
