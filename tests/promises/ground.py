"""Helpers of the promise tests: direct access to the database file, agents that send, reports."""

import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.actions import api_keys
from app.bootstrap import open_migrated_database
from app.domain.principal import CLI_PRINCIPAL, Role
from app.settings import read_settings
from tests.factories import exec_event
from tests.processes import COMMAND, TIMEOUT_SECONDS, ServerProcess

FULL_RUN = "TORTURE" in os.environ
"""True if each test runs at its full length. `make torture` sets the variable."""
SERVE = (*COMMAND, "serve", "--port", "0")
WRITERS = 4


def make_key(folder: Path, name: str, role: Role = Role.AGENT) -> str:
    """Create the database in `folder` if it is missing, and return a new API key for it."""
    settings = read_settings(database_url=f"sqlite:///{folder / 'deckwatch.db'}")
    database = open_migrated_database(settings, on_migrated=lambda _: None)
    try:
        return api_keys.create(database, name, role, principal=CLI_PRINCIPAL, at=datetime.now(UTC))[
            1
        ]
    finally:
        database.close()


def mutant_command(name: str) -> tuple[str, ...]:
    """Return the command that starts the mutant `name` of `mutants.py` as a server."""
    return sys.executable, str(Path(__file__).with_name("mutants.py")), name


@contextmanager
def open_database(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(
        sqlite3.connect(folder / "deckwatch.db", timeout=TIMEOUT_SECONDS, isolation_level=None)
    ) as connection:
        yield connection


def stored_event_ids(folder: Path) -> set[str]:
    """Return the ids of all events that have a stored match."""
    with open_database(folder) as connection:
        return {row[0] for row in connection.execute("SELECT event_id FROM rule_match")}


def is_consistent(folder: Path) -> bool:
    """Return whether SQLite's checks pass and the match counts of alerts equal the stored matches."""
    with open_database(folder) as connection:
        counts = connection.execute(
            "SELECT (SELECT coalesce(sum(match_count), 0) FROM alert)"
            " = (SELECT count(*) FROM rule_match)"
        ).fetchone()
        integrity = connection.execute("PRAGMA integrity_check").fetchall()
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
    return bool(counts[0]) and integrity == [("ok",)] and not orphans


@contextmanager
def locked_database(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on the database while the `with` block runs."""
    with open_database(folder) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def report(capsys: pytest.CaptureFixture[str], promise: int, what: str) -> None:
    """Print what the test of a promise did, even if the test passes."""
    with capsys.disabled():
        print(f"\npromise {promise}: {what}", end=" ", flush=True)


class EventSenders:
    """Agents that post one event after the other until their server has ended."""

    def __init__(self, server: ServerProcess, key: str, mark: str) -> None:
        self.acknowledged: list[str] = []
        self.unexpected_answers: list[str] = []
        self._server, self._key, self._mark = server, key, mark
        self._threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(WRITERS)
        ]

    def __enter__(self) -> "EventSenders":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads)

    def _send(self, number: int) -> None:
        for count in range(100_000):
            name = f"{self._mark}-{number}-{count}"
            event = exec_event("ssh", f"host-{number}", event_id=name)
            try:
                status, headers, told = self._server.send(self._key, event)
            except OSError:
                return
            if status == 200 and told["matched"] == 1:
                self.acknowledged.append(name)
            elif status != 503 or "retry-after" not in headers:
                self.unexpected_answers.append(f"{name}: {status} {told}")
