"""Deckwatch broken on purpose, each in one way that the test of a promise must catch.

Used as: python mutants.py NAME, with the settings in the environment like any server. Deckwatch has no
switch for being broken, so a mutant takes the place of the sound part from outside.
"""

import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import app.main
from app import server
from app.ingest import writer
from app.ingest.record import RecordResult
from app.ingest.writer import Batch
from app.settings import read_settings
from app.store import dialect


class EarlyAcknowledger(writer.Writer):
    """Says that all was stored as soon as it is queued."""

    def submit(self, batch: Batch) -> "Future[RecordResult]":
        super().submit(batch)
        told: Future[RecordResult] = Future()
        told.set_result(RecordResult(matched=len(batch.matches)))
        return told


def early_acknowledger() -> None:
    app.main.Writer = EarlyAcknowledger  # type: ignore[attr-defined]  # main exports no Writer


def syncs_only_at_checkpoint() -> None:
    """Syncs when the write-ahead log is copied, not at each commit."""
    sound = dialect.configure_sqlite

    def prepare(connection: Any, _record: object) -> None:
        sound(connection, _record)
        connection.execute("PRAGMA synchronous = NORMAL")

    dialect.configure_sqlite = prepare


MUTANTS: dict[str, Callable[[], None]] = {
    mutate.__name__: mutate for mutate in (early_acknowledger, syncs_only_at_checkpoint)
}


def main() -> None:
    MUTANTS[sys.argv[1]]()
    settings = read_settings()
    bound = server.open_listening_socket("127.0.0.1", 0)
    print(f"Deckwatch mutant on http://127.0.0.1:{bound.getsockname()[1]}", file=sys.stderr)
    server.run(app.main.create_app(settings), bound)


if __name__ == "__main__":
    main()
