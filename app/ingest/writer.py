"""Group commit: one thread stores the batches of many requests in one transaction.

While the disk sync of one transaction runs, further batches wait in a queue. The next transaction stores all
of them, so they share the cost of one fdatasync. A request is answered only after its commit is durable.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic, perf_counter
from typing import TypeAlias

from app.domain.errors import Unavailable
from app.ingest.events import NewRejection
from app.ingest.metrics import IngestMetrics
from app.ingest.new_match import NewMatch
from app.ingest.record import RecordResult, record_matches
from app.store import quarantine
from app.store.database import Database, Session
from app.store.exclusions import LiveExclusionCache
from app.store.quarantine import NewQuarantinedEvent
from app.store.traffic import TrafficCounts, add_traffic

# Maximum number of queued batches. Further batches are refused; the agents keep their events and retry.
MAX_QUEUED_BATCHES = 256
# Approximate maximum number of rows in one transaction. With more rows, all batches of the transaction wait
# longer, but the time per row hardly decreases.
MAX_ROWS_PER_TRANSACTION = 2_000
# Maximum time in seconds before traffic counts are written. If a request has neither matches nor rejected
# events, only its traffic counts must be stored. A later transaction writes the collected traffic counts of
# many requests.
TRAFFIC_FLUSH_SECONDS = 2.0
# Maximum time in seconds that `stop` waits for the last transaction.
STOP_TIMEOUT_SECONDS = 0.5
# Maximum time in seconds that a request waits for its commit after `begin_shutdown`.
SHUTDOWN_GRACE_SECONDS = 0.5
# Maximum total waiting time of a batch in seconds. A batch waits first in the queue and then for the write
# lock. The wait for the lock may always take MIN_LOCK_TIMEOUT_SECONDS, even if the total then exceeds
# WRITE_TIMEOUT_SECONDS.
WRITE_TIMEOUT_SECONDS = 5.0
MIN_LOCK_TIMEOUT_SECONDS = 0.5
STOPPING_MESSAGE = "Deckwatch is stopping; send this again in a moment."
BUSY_MESSAGE = "The database is busy; nothing was stored. Send this again in a moment."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """The matches and rejected events of one request.

    `received` is the number of its events. `body_bytes` is the size of the body after decompression.
    """

    key_id: int
    matches: Sequence[NewMatch]
    rejected: Sequence[NewRejection]
    received: int
    body_bytes: int
    result: "Future[RecordResult]" = field(default_factory=Future)
    queued_at: float = field(default_factory=monotonic)


# Traffic counts that are not stored yet, by API key id and minute.
TrafficByMinute: TypeAlias = dict[tuple[int, datetime], TrafficCounts]


class Writer:
    """Stores batches on its own thread, which runs from `start` to `stop`.

    `clock` returns the current time as an aware UTC datetime. Times of receipt never decrease, even if the
    clock is set back.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime],
        metrics: IngestMetrics | None = None,
    ) -> None:
        self._database = database
        self._metrics = metrics or IngestMetrics()
        self._clock = clock
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._exclusions = LiveExclusionCache()
        self._last_receipt_time: datetime | None = None
        self._traffic: TrafficByMinute = {}
        self._traffic_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._submit_lock = threading.Lock()
        self._stopping = False
        self._is_shutting_down = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Refuse further batches, store the queued batches and end the thread.

        If the database is locked or full, this method still returns after STOP_TIMEOUT_SECONDS. Batches that
        are not stored by then have not been acknowledged, so the agents send them again.
        """
        with self._submit_lock:
            self._stopping = True
            self._queue.put(None)
        self._thread.join(STOP_TIMEOUT_SECONDS)
        if self._thread.is_alive():
            log.warning(
                "queued events could not be stored before the stop; agents will send them again"
            )

    def begin_shutdown(self) -> None:
        """From now on, fail each request whose commit takes longer than SHUTDOWN_GRACE_SECONDS."""
        self._is_shutting_down = True

    async def write(self, batch: Batch) -> RecordResult:
        """Store a batch; return its counts after the commit.

        Raises Unavailable if the queue is full, the database is not available, or the server shuts down.
        """
        pending = self.submit(batch)
        waiting = asyncio.wrap_future(pending)
        waited = 0.0
        while True:
            finished, _ = await asyncio.wait([waiting], timeout=SHUTDOWN_GRACE_SECONDS)
            if finished:
                return waiting.result()
            waited += SHUTDOWN_GRACE_SECONDS
            self._check_timeout(pending, waited)

    def _check_timeout(self, pending: "Future[RecordResult]", waited: float) -> None:
        """Cancel the batch and raise Unavailable at shutdown or after the write timeout."""
        if self._is_shutting_down:
            pending.cancel()
            raise Unavailable(STOPPING_MESSAGE, 2)
        # `cancel` returns False if the transaction has begun. The request then waits for its result.
        if waited >= WRITE_TIMEOUT_SECONDS and pending.cancel():
            raise Unavailable(BUSY_MESSAGE, 2)

    def submit(self, batch: Batch) -> "Future[RecordResult]":
        """Queue a batch and return the future of its result.

        If the future is cancelled before the transaction begins, the batch is dropped. Raises Unavailable if
        the queue is full or the writer stops.
        """
        # `stop` puts None into the queue, and the thread ends when it reads None. The lock ensures that no
        # batch enters the queue after None.
        with self._submit_lock:
            if self._stopping:
                raise Unavailable(STOPPING_MESSAGE, 2)
            if self._queue.qsize() >= MAX_QUEUED_BATCHES:
                raise Unavailable("Too many requests wait for the database; try again.")
            self._queue.put(batch)
            self._metrics.set_queue_length(self._queue.qsize())
        return batch.result

    def count_traffic(self, key_id: int, traffic: TrafficCounts) -> None:
        """Count a request that has neither matches nor rejected events.

        A later transaction stores the counts.
        """
        traffic.seen_at = self._clock()
        with self._traffic_lock:
            _add_traffic(self._traffic, key_id, traffic)
        self._metrics.record_request(traffic, ())

    def _run(self) -> None:
        is_last = False
        while not is_last:
            group, is_last = self._next_group()
            self._metrics.set_queue_length(self._queue.qsize())
            if group or self._traffic:
                self._write_group(group)

    def _next_group(self) -> tuple[list[Batch], bool]:
        """Return (batches for the next transaction, whether this transaction is the last one).

        The thread must end after the last transaction. This method waits up to TRAFFIC_FLUSH_SECONDS for the
        first batch.
        """
        group: list[Batch] = []
        rows = 0
        try:
            batch = self._queue.get(timeout=TRAFFIC_FLUSH_SECONDS)
            while batch is not None:
                # If the request has cancelled the future, `set_running_or_notify_cancel` returns False, and
                # the batch is dropped. Otherwise the method returns True. From then on, the request can no
                # longer cancel the future.
                if batch.result.set_running_or_notify_cancel():
                    group.append(batch)
                    rows += len(batch.matches) + len(batch.rejected)
                if rows >= MAX_ROWS_PER_TRANSACTION:
                    return group, False
                batch = self._queue.get_nowait()
        except queue.Empty:
            return group, False
        return group, True

    def _write_group(self, group: list[Batch]) -> None:
        try:
            results = self._commit(group)
        except Unavailable as error:
            for batch in group:
                batch.result.set_exception(error)
        except Exception as error:
            if len(group) <= 1:
                log.exception("storing a batch failed")
                for batch in group:
                    batch.result.set_exception(error)
                return
            # A single batch may have caused the error. Each batch is stored again in a transaction of its
            # own, so that only the batch with the error fails.
            for batch in group:
                self._write_group([batch])
        else:
            for batch, result in zip(group, results, strict=True):
                batch.result.set_result(result)

    def _commit(self, group: list[Batch]) -> list[RecordResult]:
        with self._traffic_lock:
            traffic, self._traffic = self._traffic, {}
        unwritten = {key_minute: replace(counts) for key_minute, counts in traffic.items()}
        started_at = perf_counter()
        try:
            with self._database.write(_lock_timeout(group)) as session:
                at = self._receipt_time()
                exclusions = self._exclusions.by_rule(session)
                results = record_matches(
                    session, [batch.matches for batch in group], exclusions=exclusions, at=at
                )
                for batch, result in zip(group, results, strict=True):
                    result.repeated = _quarantine_rejected(session, batch, at)
                    _add_traffic(traffic, batch.key_id, _batch_traffic(batch, result, at))
                for (key_id, minute), counts in traffic.items():
                    add_traffic(session, key_id, minute, counts)
        except BaseException:
            with self._traffic_lock:
                for (key_id, _), counts in unwritten.items():
                    _add_traffic(self._traffic, key_id, counts)
            raise
        self._metrics.record_commit(perf_counter() - started_at)
        for batch, result in zip(group, results, strict=True):
            kinds = (rejection.event.kind for rejection in batch.rejected)
            self._metrics.record_request(_batch_traffic(batch, result, at), kinds)
        return results

    def _receipt_time(self) -> datetime:
        now = self._clock()
        if self._last_receipt_time is None or now > self._last_receipt_time:
            self._last_receipt_time = now
        return self._last_receipt_time


def _lock_timeout(group: Sequence[Batch]) -> float:
    """Return how many seconds the transaction may wait for the write lock.

    The result is WRITE_TIMEOUT_SECONDS minus the time that the oldest batch has already waited. For example,
    if the timeout is 5 seconds and the oldest batch has waited 2 seconds, the result is 3 seconds. The result
    is never less than MIN_LOCK_TIMEOUT_SECONDS.
    """
    now = monotonic()
    oldest = min((batch.queued_at for batch in group), default=now)
    return max(MIN_LOCK_TIMEOUT_SECONDS, WRITE_TIMEOUT_SECONDS - (now - oldest))


def _quarantine_rejected(session: Session, batch: Batch, at: datetime) -> frozenset[bytes]:
    """Store the rejected events and return the digests of those that were already stored."""
    return quarantine.add_many(
        session,
        batch.key_id,
        [
            NewQuarantinedEvent(
                rejection.digest, rejection.event.reason, rejection.event.raw_event.raw
            )
            for rejection in batch.rejected
        ],
        at,
    )


def _batch_traffic(batch: Batch, result: RecordResult, at: datetime) -> TrafficCounts:
    return TrafficCounts(
        received=batch.received,
        matched=result.matched,
        suppressed=result.suppressed,
        duplicates=result.duplicates,
        rejected=len(batch.rejected),
        bytes=batch.body_bytes,
        seen_at=at,
    )


def _add_traffic(totals: TrafficByMinute, key_id: int, counts: TrafficCounts) -> None:
    if counts.seen_at is None:
        return
    key_minute = key_id, counts.seen_at.replace(second=0, microsecond=0)
    totals.setdefault(key_minute, TrafficCounts()).add(counts)
