"""What the ingest tells whoever keeps figures of it; this one keeps none."""

from collections.abc import Iterable

from app.store.keys import Traffic


class Measures:
    """Called from several threads. What is told was either committed or needs no commit."""

    def took(self, traffic: Traffic, reasons: Iterable[str]) -> None:
        """A request was taken; `reasons` has one sentence for each event that was rejected."""

    def committed(self, seconds: float) -> None:
        """A transaction reached the disk, so long after it asked for the lock."""

    def waiting(self, batches: int) -> None:
        """So many batches wait for a transaction now."""
