"""Rate limits on failed sign-ins.

The first limit counts the failures of one account from one address. The second limit counts the failures of
one account from all addresses. The third limit counts the failures of all accounts from one address.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.domain.errors import DeckwatchError, Forbidden
from app.store.users import normalize_name


class TooManyLoginAttempts(DeckwatchError):
    """There were too many failed sign-ins (HTTP status 429). `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        minutes = max(1, round(retry_after / 60))
        super().__init__(f"Too many failed attempts. Try again in {minutes} min.")
        self.retry_after = retry_after


class LoginRateLimiter:
    """Limits the number of failed sign-ins. Successful sign-ins do not count.

    `_account_limit` counts the failures of an account from all addresses. This limit is high, so that an
    attacker cannot lock a user out with a few requests. Each worker process counts only the failures in this
    process. With two worker processes, an attacker can therefore have up to twice as many attempts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._account_and_address_limit = parse("5 per 5 minutes")
        self._account_limit = parse("50 per 15 minutes")
        self._address_limit = parse("30 per 5 minutes")

    @contextmanager
    def attempt(self, name: str, address: str) -> Iterator[None]:
        """Context manager for one sign-in. If the block raises Forbidden, the sign-in has failed.

        Raises TooManyLoginAttempts if a limit is reached. A lock lets only one attempt run at a time. Without
        the lock, many concurrent requests could pass the check before the first failure is counted. The lock
        also limits the use of memory, because each password check takes 64 MiB.
        """
        with self._lock:
            self._check(name, address)
            try:
                yield
            except Forbidden:
                self._record_failure(name, address)
                raise

    def _check(self, name: str, address: str) -> None:
        for limit, *key in self._limits_and_keys(name, address):
            if not self._limiter.test(limit, *key):
                reset, _ = self._limiter.get_window_stats(limit, *key)
                raise TooManyLoginAttempts(max(1, int(reset - _now())))

    def _record_failure(self, name: str, address: str) -> None:
        for limit, *key in self._limits_and_keys(name, address):
            self._limiter.hit(limit, *key)

    def _limits_and_keys(self, name: str, address: str) -> list[tuple[RateLimitItem, str, str]]:
        account = hashlib.sha256(normalize_name(name).encode("utf-8", "surrogatepass")).hexdigest()
        return [
            (self._account_and_address_limit, account, address),
            (self._account_limit, account, ""),
            (self._address_limit, "", address),
        ]


def _now() -> float:
    import time

    return time.time()  # the library `limits` also calls time.time()
