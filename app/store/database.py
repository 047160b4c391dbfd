"""One way in for readers and one for writers, the same for every database.

SQLite takes one writer at a time. A writer that begins as a reader may find, at its first write, that
it can never get the lock, so every write begins with BEGIN IMMEDIATE and waits there instead.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session as Session  # the one type of it that other rooms name

from app.domain.errors import FatalError, Unavailable

# Longer than any transaction of ours, shorter than an agent's patience.
LOCK_TIMEOUT_SECONDS = 5.0

T = TypeVar("T")

# An option of a connection that writes: how many seconds it may wait for its turn.
_LOCK_TIMEOUT_OPTION = "deckwatch_writes"
# Key of `Session.info` for the counters that a transaction has incremented, by name (store/revisions.py).
REVISIONS = "revisions"
CommitListener: TypeAlias = Callable[[Mapping[str, int]], None]


class Database:
    """Opened once a process. `read` and `write` are context managers that yield a Session.

    `write` commits when its block ends and rolls back when it raises. Both raise Unavailable when the
    database is locked, full or gone; nothing was written then.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            self.is_sqlite = parsed.get_backend_name() == "sqlite"
            self.engine = _create_engine(url, self.is_sqlite)
        except (ArgumentError, ImportError, ValueError) as error:
            raise FatalError(f"DECKWATCH_DATABASE_URL: {error}.") from None
        self.path = Path(parsed.database) if self.is_sqlite and parsed.database else None
        # Threads of one process queue here, where waking is prompt, not in SQLite's polling.
        self._write_lock = threading.Lock()
        self._commit_listeners: list[CommitListener] = []

    def on_commit(self, listener: CommitListener) -> None:
        """Call `listener` after each commit that incremented counters, with their new values by name.

        It runs on the thread of the transaction, after the write lock was released.
        """
        self._commit_listeners.append(listener)

    @contextmanager
    def read(self) -> Iterator[Session]:
        with _translate_errors(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, lock_timeout: float = LOCK_TIMEOUT_SECONDS) -> Iterator[Session]:
        """`patience` is how many seconds the lock may be waited for."""
        until = monotonic() + lock_timeout
        if not self._write_lock.acquire(timeout=lock_timeout):
            raise Unavailable("The database is busy; nothing was changed. Try again.")
        try:
            with _translate_errors(), self.engine.connect() as connection:
                # Waiting for other threads and waiting for other processes come out of one purse.
                connection.execution_options(
                    **{_LOCK_TIMEOUT_OPTION: max(0.0, until - monotonic())}
                )
                with (
                    connection.begin(),
                    Session(connection, expire_on_commit=False) as session,
                ):
                    yield session
                    session.flush()
        finally:
            self._write_lock.release()
        if revisions := session.info.get(REVISIONS):
            for listener in self._commit_listeners:
                listener(revisions)

    def close(self) -> None:
        self.engine.dispose()


def _create_engine(url: str, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=30)
    engine = create_engine(
        url,
        pool_size=10,
        max_overflow=40,
        # So that a writer mostly has the connection of the last one, which still knows the pages.
        pool_use_lifo=True,
        connect_args={"timeout": LOCK_TIMEOUT_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    # Without this the driver begins transactions by its own rules, deferred.
    connection.isolation_level = None
    cursor = connection.cursor()
    _enable_wal(cursor)
    # FULL: in WAL mode, NORMAL loses the last commits when the power fails.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA trusted_schema = OFF")
    cursor.close()


def _enable_wal(cursor: Any) -> None:
    """Only the first program at a new file has anything to do; for that moment SQLite lets none wait."""
    deadline = monotonic() + LOCK_TIMEOUT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or monotonic() > deadline:
                raise
            sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    lock_timeout = connection.get_execution_options().get(_LOCK_TIMEOUT_OPTION)
    if lock_timeout is None:
        connection.exec_driver_sql("BEGIN")
        return
    # In steps, so that most transactions find it as the one before has left it.
    wait = ceil(lock_timeout * 10) * 100
    if connection.info.get(_LOCK_TIMEOUT_OPTION) != wait:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {wait}")
        connection.info[_LOCK_TIMEOUT_OPTION] = wait
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def chunks(values: Sequence[T], size: int = 500) -> Iterator[Sequence[T]]:
    """`values` in parts: SQLite bounds the parameters of one statement."""
    return (values[start : start + size] for start in range(0, len(values), size))


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise Unavailable(_error_message(error), retry_after=2) from error
    except PoolTimeout as error:
        raise Unavailable("Too many wait for the database; try again.") from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # its subclasses are mistakes of ours
            raise
        raise Unavailable("The database is damaged; run: deckwatch db check", 30) from error


def _error_message(error: DBAPIError) -> str:
    said = str(error.orig).lower()
    for sign, sentence in _ERROR_MESSAGES.items():
        if sign in said:
            return sentence
    return "The database cannot be used right now; nothing was changed. Try again."


_ERROR_MESSAGES = {
    "locked": "The database is busy; nothing was changed. Try again.",
    "full": "The disk is full; nothing was changed. Free some space.",
    "readonly": "The database is read-only; nothing was changed.",
    "no such table": "The database lacks a table; run: deckwatch db upgrade",
}


def open_error_message(error: DBAPIError, path: Path | None) -> str:
    """One sentence for a database that could not be opened at the start."""
    said = str(error.orig)
    where = f"The database {path}" if path else "The database"
    if "unable to open" in said and path is not None and not path.parent.is_dir():
        return f"{where} cannot be opened: the folder {path.parent} does not exist."
    return f"{where} cannot be opened: {said.strip().splitlines()[0]}."
