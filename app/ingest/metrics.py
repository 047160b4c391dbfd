"""Interface that receives the metrics of ingest."""

from collections.abc import Iterable

from app.formats import RejectionKind
from app.store.traffic import TrafficCounts


class IngestMetrics:
    """Receiver of ingest metrics. This base class discards them, and a subclass can export them.

    Several threads may call the methods at the same time. A request with matches or rejected events is
    recorded after its commit.
    """

    def record_request(self, traffic: TrafficCounts, rejections: Iterable[RejectionKind]) -> None:
        """Record the counts of one request; `rejections` contains the kind of each rejected event."""

    def record_commit(self, seconds: float) -> None:
        """Record how long a transaction took, from the request of the write lock to the durable commit."""

    def set_queue_length(self, batches: int) -> None:
        """Record the number of batches that wait for a transaction."""
