"""Hooks for ingest metrics; the base class ignores all calls."""

from collections.abc import Iterable

from app.formats import RejectionKind
from app.store.traffic import TrafficCounts


class IngestMetrics:
    """Receiver of the figures that ingest reports; this base class discards them.

    Several threads call the methods, possibly at the same time. Stored events are counted after their
    commit.
    """

    def record_request(self, traffic: TrafficCounts, rejections: Iterable[RejectionKind]) -> None:
        """Count a request; `rejections` has the kind of each rejected event."""

    def record_commit(self, seconds: float) -> None:
        """Record the time from asking for the write lock to the durable commit."""

    def set_queue_length(self, batches: int) -> None:
        """Record how many batches wait for a transaction."""
