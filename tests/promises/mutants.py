"""Deliberately broken Deckwatch servers. The test of a promise must detect each of them.

Usage: python mutants.py NAME. Settings come from the environment, as for any server. Deckwatch has no
setting that breaks it, so a mutant replaces a function or a class before it starts the server.
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
    """A writer that reports a batch as stored as soon as the batch is queued."""

    def submit(self, batch: Batch) -> "Future[RecordResult]":
        super().submit(batch)
        told: Future[RecordResult] = Future()
        told.set_result(RecordResult(matched=len(batch.matches)))
        return told


def early_acknowledger() -> None:
    app.main.Writer = EarlyAcknowledger  # type: ignore[attr-defined]  # `main` only imports Writer and does not export it


def syncs_only_at_checkpoint() -> None:
    """Make SQLite sync only when it copies the write-ahead log into the database, not at each commit."""
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
