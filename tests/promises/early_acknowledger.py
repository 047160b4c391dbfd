"""A broken Deckwatch on purpose, run by test_kills: it answers before its commit, and must be caught.

Used as: python early_acknowledger.py, with the settings in the environment like any server.
"""

import sys
from concurrent.futures import Future

from app import server
from app.ingest import writer
from app.ingest.recording import Outcome
from app.ingest.writer import Batch
from app.main import create_app
from app.settings import read_settings


class EarlyAcknowledger(writer.Writer):
    """Says that all was stored as soon as it is queued."""

    def submit(self, batch: Batch) -> "Future[Outcome]":
        super().submit(batch)
        told: Future[Outcome] = Future()
        told.set_result(Outcome(matched=len(batch.matches)))
        return told


def main() -> None:
    import app.main

    # Deckwatch has no switch for being broken, so the mutant takes the writer's place from outside.
    app.main.Writer = EarlyAcknowledger  # type: ignore[attr-defined]  # main exports no Writer
    settings = read_settings()
    bound = server.listen("127.0.0.1", 0)
    print(f"Deckwatch mutant on http://127.0.0.1:{bound.getsockname()[1]}", file=sys.stderr)
    server.run(create_app(settings), bound)


if __name__ == "__main__":
    main()
