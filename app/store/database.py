"""The connection pool, with reading and writing transactions for SQLite and PostgreSQL."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TypeAlias, TypeVar

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session as Session  # exported: other packages import Session from here

from app.domain.errors import FatalError, Unavailable
from app.store import dialect

log = logging.getLogger(__name__)

T = TypeVar("T")

# Key in `Session.info` for the counters that the transaction has incremented, with their new values.
CHANGED_COUNTERS = "changed_counters"
CommitListener: TypeAlias = Callable[[Mapping[str, int]], None]


class Database:
    """A connection pool, opened once per process.

    `read` and `write` are context managers that yield a Session. `write` commits at the end of the `with`
    block, and rolls back if the block raises an exception. `read` and `write` raise Unavailable if the
    database is locked, full, damaged or unreachable; in that case nothing was written.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            self.engine = dialect.create_database_engine(parsed)
        except (ArgumentError, ImportError, ValueError) as error:
            raise FatalError(f"DECKWATCH_DATABASE_URL: {error}.") from None
        self.path = Path(parsed.database) if dialect.is_sqlite(parsed) and parsed.database else None
        # Writing threads of this process wait for this lock before they ask for SQLite's write lock. A
        # thread wakes at once when this lock is released, whereas SQLite polls its own lock.
        self._write_lock = threading.Lock()
        self._commit_listeners: list[CommitListener] = []

    def on_commit(self, listener: CommitListener) -> None:
        """Call `listener` after each commit of a transaction that has incremented change counters.

        The listener receives the new values of these counters by name. It runs on the thread of the
        transaction, after the write lock is released.
        """
        self._commit_listeners.append(listener)

    @contextmanager
    def read(self) -> Iterator[Session]:
        with _translate_errors(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, lock_timeout: float = dialect.LOCK_TIMEOUT_SECONDS) -> Iterator[Session]:
        """Begin a writing transaction; wait at most `lock_timeout` seconds for the write lock."""
        deadline = monotonic() + lock_timeout
        if not self._write_lock.acquire(timeout=lock_timeout):
            raise Unavailable("The database is busy; nothing was changed. Try again.")
        try:
            with _translate_errors(), self.engine.connect() as connection:
                # `lock_timeout` limits the total time of two waits. The first wait, for `_write_lock`, has
                # ended. The second wait, for SQLite's write lock, gets the remaining time.
                dialect.mark_as_writer(connection, max(0.0, deadline - monotonic()))
                with (
                    connection.begin(),
                    Session(connection, expire_on_commit=False) as session,
                ):
                    yield session
                    session.flush()
        finally:
            self._write_lock.release()
        if counters := session.info.get(CHANGED_COUNTERS):
            self._notify(counters)

    def _notify(self, counters: Mapping[str, int]) -> None:
        for listener in self._commit_listeners:
            try:
                listener(counters)
            except Exception:
                # The transaction is committed, so an error of a listener must not be reported as a failed
                # write.
                log.exception("a commit listener failed")

    def close(self) -> None:
        self.engine.dispose()


def chunks(values: Sequence[T], size: int = 500) -> Iterator[Sequence[T]]:
    """Split `values` into parts, because databases limit the number of parameters of a statement."""
    return (values[start : start + size] for start in range(0, len(values), size))


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise Unavailable(dialect.error_message(error), retry_after=2) from error
    except PoolTimeout as error:
        raise Unavailable("Too many requests wait for the database; try again.") from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # a subclass, such as IntegrityError, means a bug
            raise
        raise Unavailable("The database is damaged; run: deckwatch db check", 30) from error
