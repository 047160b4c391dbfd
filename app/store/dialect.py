"""Code that differs between SQLite and PostgreSQL.

It covers engine options, transactions, error messages, integrity checks and the size of the database.

SQLite allows one writer at a time. Suppose that transaction A reads, then transaction B writes, and then A
tries to write. The write of A fails at once, because SQLite does not wait in this case. To avoid this
failure, every writing transaction on SQLite begins with BEGIN IMMEDIATE, which waits for the write lock.
"""

import sqlite3
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlmodel import Session

# This time is longer than the longest transaction of Deckwatch and shorter than the request timeout of
# agents.
LOCK_TIMEOUT_SECONDS = 5.0

# This name has two uses:
# - An execution option with this name marks a writing transaction. The value of the option is the maximum
#   time to wait for the write lock, in seconds.
# - A key in `Connection.info` has this name. The value is the current busy timeout of the connection, in
#   milliseconds.
_LOCK_TIMEOUT_OPTION = "deckwatch_lock_timeout"

_ERROR_MESSAGES = {
    "locked": "The database is busy; nothing was changed. Try again.",
    "full": "The disk is full; nothing was changed. Free some space.",
    "readonly": "The database is read-only; nothing was changed. Make its file and folder writable.",
    "no such table": "The database lacks a table; run: deckwatch db upgrade",
}


def is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def create_database_engine(url: URL) -> Engine:
    """Return the engine for `url`. The engine opens its first connection later, when it is used."""
    if not is_sqlite(url):
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=30)
    engine = create_engine(
        url,
        pool_size=10,
        max_overflow=40,
        # In last-in, first-out order, a writer usually gets the connection that the previous writer has
        # returned to the pool. The SQLite page cache of this connection is up to date.
        pool_use_lifo=True,
        connect_args={"timeout": LOCK_TIMEOUT_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def mark_as_writer(connection: Connection, lock_timeout: float) -> None:
    """Make the next transaction of `connection` a writing transaction.

    On SQLite, this transaction waits at most `lock_timeout` seconds for the write lock.
    """
    connection.execution_options(**{_LOCK_TIMEOUT_OPTION: lock_timeout})


def configure_sqlite(connection: Any, _record: object) -> None:
    """Set the PRAGMAs of a new SQLite connection."""
    # None keeps Python's sqlite3 module from beginning transactions itself. `_begin_sqlite` begins them.
    connection.isolation_level = None
    cursor = connection.cursor()
    _enable_wal(cursor)
    # With FULL, SQLite flushes the WAL file to the disk at each commit. With NORMAL, a power failure could
    # undo the last commits.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA trusted_schema = OFF")
    cursor.close()


def _enable_wal(cursor: Any) -> None:
    """Set WAL mode, and retry while the database file is locked.

    The mode is stored in the file, so only the first connection to a new file changes the mode. The retry
    is necessary because SQLite does not apply its busy timeout to this change.
    """
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
    # `lock_timeout` differs a little between transactions, for example 4.97 s and 4.99 s. The busy timeout is
    # rounded up to a multiple of 100 ms, in this example to 5000 ms. Most transactions then need the busy
    # timeout that the connection already has, so the PRAGMA is rarely executed.
    busy_timeout = ceil(lock_timeout * 10) * 100
    if connection.info.get(_LOCK_TIMEOUT_OPTION) != busy_timeout:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {busy_timeout}")
        connection.info[_LOCK_TIMEOUT_OPTION] = busy_timeout
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def error_message(error: DBAPIError) -> str:
    """Return a message for users about a database error, chosen by the error text of the driver."""
    driver_message = str(error.orig).lower()
    for part, message in _ERROR_MESSAGES.items():
        if part in driver_message:
            return message
    return "The database cannot be used right now; nothing was changed. Try again."


def open_error_message(error: DBAPIError, path: Path | None) -> str:
    """Return a sentence that says why the database could not be opened.

    `path` is the SQLite file, or None for PostgreSQL.
    """
    driver_message = str(error.orig)
    database = f"The database {path}" if path else "The database"
    if "unable to open" in driver_message and path is not None and not path.parent.is_dir():
        return f"{database} cannot be opened: the folder {path.parent} does not exist."
    return f"{database} cannot be opened: {driver_message.strip().splitlines()[0]}."


def integrity_problems(engine: Engine) -> list[str]:
    """Return the problems that SQLite's integrity checks report, each as a sentence without a full stop.

    For PostgreSQL the list is empty, because PostgreSQL has no similar checks.
    """
    if not is_sqlite(engine.url):
        return []
    try:
        with engine.connect() as connection:
            integrity = connection.execute(text("PRAGMA integrity_check")).scalars().all()
            orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
    except DatabaseError as error:
        return [f"SQLite reports damage: {error.orig}"]
    problems = [f"SQLite reports damage: {line}" for line in integrity if line != "ok"]
    problems += [f"A row of {row[0]} refers to a missing row of {row[2]}" for row in orphans]
    return problems


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """The size of the database on disk, and the part of it that is in use, both in bytes.

    The two values differ because SQLite keeps free pages in its file and reuses them later.
    """

    total_bytes: int
    used_bytes: int


def database_size(session: Session) -> DatabaseSize:
    """Return the size of the database. On PostgreSQL, `used_bytes` equals `total_bytes`."""
    if session.get_bind().dialect.name != "sqlite":
        total = _query_int(session, "SELECT pg_database_size(current_database())")
        return DatabaseSize(total, total)
    page_size = _query_int(session, "PRAGMA page_size")
    pages = _query_int(session, "PRAGMA page_count")
    free_pages = _query_int(session, "PRAGMA freelist_count")
    return DatabaseSize(page_size * pages, page_size * (pages - free_pages))


def _query_int(session: Session, query: str) -> int:
    return int(session.connection().execute(text(query)).scalar_one())
