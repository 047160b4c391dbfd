"""What the ingest tells whoever keeps figures of it; this one keeps none."""

from collections.abc import Iterable

from app.store.traffic import TrafficCounts


class IngestMetrics:
    """Called from several threads. What is told was either committed or needs no commit."""

    def record_request(self, traffic: TrafficCounts, reasons: Iterable[str]) -> None:
        """A request was taken; `reasons` has one sentence for each event that was rejected."""

    def record_commit(self, seconds: float) -> None:
        """A transaction reached the disk, so long after it asked for the lock."""

    def set_queue_length(self, batches: int) -> None:
        """So many batches wait for a transaction now."""
