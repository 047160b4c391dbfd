"""Cache of API keys. With this cache, most requests do not read their key from the database."""

import threading

from app.actions.credentials import hash_token
from app.domain.errors import Unavailable
from app.domain.principal import Principal, Role
from app.store import api_keys, change_counters
from app.store.database import Database


class ApiKeyCache:
    """Cache of the principals of API keys. Each process has one instance.

    After a key is revoked in this process, the caller must call `clear`. A key that another process revokes
    is rejected after the next `refresh`. The constructor raises Unavailable if the database cannot be read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._revision = -1
        self._principals: dict[str, Principal] = {}
        self.refresh()

    def get_cached(self, text: str) -> Principal | None:
        """Return the principal of an API key, or None if the key is not in the cache.

        This method does not read the database.
        """
        return self._principals.get(hash_token(text))

    def look_up(self, text: str) -> Principal | None:
        """Return the principal of an API key from the database and cache it.

        Returns None if the key is unknown or revoked. Raises Unavailable if the database cannot be read.
        """
        key_hash = hash_token(text)
        with self._database.read() as session:
            # The revision must be read before the key. Suppose that the key were read first, and that a user
            # revoked the key before the revision was read. The revoked key would then be cached with the new
            # revision, and `refresh` would not remove the key.
            revision = change_counters.current(session, change_counters.KEYS)
            key = api_keys.get_by_hash(session, key_hash)
        if key is None or key.revoked_at is not None:
            return None
        principal = Principal(name=key.name, role=Role(key.role), address="", key_id=key.id)
        with self._lock:
            if revision == self._revision:
                self._principals[key_hash] = principal
        return principal

    def clear(self) -> None:
        """Remove all keys from the cache, and cache no keys until the next `refresh`."""
        with self._lock:
            self._principals, self._revision = {}, -1

    def refresh(self) -> None:
        """Remove all keys from the cache if any process has revoked a key since the last `refresh`.

        If the database cannot be read, `refresh` clears the cache and raises Unavailable.
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
