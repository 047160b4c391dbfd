"""Hooks for ingest metrics; the base class ignores all calls."""

from collections.abc import Iterable

from app.formats import RejectionKind
from app.store.traffic import TrafficCounts


class IngestMetrics:
    """The methods are called from several threads.

    If counted events need a commit, the methods are called after it.
    """

    def record_request(self, traffic: TrafficCounts, rejections: Iterable[RejectionKind]) -> None:
        """Count a request; `rejections` has the kind of each rejected event."""

    def record_commit(self, seconds: float) -> None:
        """Record the time from asking for the write lock to the durable commit."""

    def set_queue_length(self, batches: int) -> None:
        """Record how many batches wait for a transaction."""
