"""One thread, one transaction for many requests: what they wait for is durable before they hear of it.

Group commit: while one transaction is on its way to the disk the next batches gather, so that the
cost of an fdatasync is shared by all of them.
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
from app.ingest.events import RejectedEvent
from app.ingest.metrics import IngestMetrics
from app.ingest.record import NewMatch, RecordResult, record_matches
from app.store import quarantine
from app.store.database import Database, Session
from app.store.exclusions import LiveExclusionCache
from app.store.traffic import TrafficCounts, add_traffic

# More waiting batches than this are refused: the agent keeps them and tries again.
MAX_QUEUED_BATCHES = 256
# Rows in one transaction, about: more make everyone in it wait without saving much.
MAX_ROWS_PER_TRANSACTION = 2_000
# How often the counts of requests without a match are written, in seconds.
TRAFFIC_FLUSH_SECONDS = 2.0
# How long the end waits for the last transaction; the requests in it have had their grace before.
STOP_TIMEOUT_SECONDS = 0.5
# How long a request may go on waiting for its commit once the server was told to stop.
SHUTDOWN_GRACE_SECONDS = 0.5
# How long a batch may wait for its transaction to begin, its time in the queue and that for the lock
# together; but whoever comes out of the queue so late tries the lock for a moment at least.
WRITE_TIMEOUT_SECONDS = 5.0
MIN_LOCK_TIMEOUT_SECONDS = 0.5
STOPPING_MESSAGE = "Deckwatch is stopping; send this again in a moment."
BUSY_MESSAGE = "The database is busy; nothing was stored. Send this again in a moment."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request brought."""

    key_id: int
    matches: Sequence[NewMatch]
    rejected: Sequence[RejectedEvent]
    received: int
    body_bytes: int
    result: "Future[RecordResult]" = field(default_factory=Future)
    queued_at: float = field(default_factory=monotonic)


# Figures not yet written, by key and minute.
TrafficByMinute: TypeAlias = dict[tuple[int, datetime], TrafficCounts]


class Writer:
    """Started with `start`, stopped with `stop`, which first writes what is queued.

    `clock` gives aware UTC; receipt times never go back even when it does.
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
        """Write what is queued, then end; batches submitted later are refused.

        A locked or full database is not waited for: what it did not take was never acknowledged.
        """
        with self._submit_lock:
            self._stopping = True
            self._queue.put(None)
        self._thread.join(STOP_TIMEOUT_SECONDS)
        if self._thread.is_alive():
            log.warning("the database did not take what was queued; its senders will send it again")

    def begin_shutdown(self) -> None:
        """From now on nobody waits for long: what a locked database does not take is refused."""
        self._is_shutting_down = True

    async def write(self, batch: Batch) -> RecordResult:
        """The same without a thread that waits: however many batches wait, pages are served."""
        done = self.submit(batch)
        waiting = asyncio.wrap_future(done)
        waited = 0.0
        while True:
            finished, _ = await asyncio.wait([waiting], timeout=SHUTDOWN_GRACE_SECONDS)
            if finished:
                return waiting.result()
            waited += SHUTDOWN_GRACE_SECONDS
            self._check_timeout(done, waited)

    def _check_timeout(self, done: "Future[RecordResult]", waited: float) -> None:
        """Raises Unavailable when it was waited for long enough."""
        if self._is_shutting_down:
            done.cancel()
            raise Unavailable(STOPPING_MESSAGE, 2)
        # What is being written is not given up: it will be stored, or be refused by the database.
        if waited >= WRITE_TIMEOUT_SECONDS and done.cancel():
            raise Unavailable(BUSY_MESSAGE, 2)

    def submit(self, batch: Batch) -> "Future[RecordResult]":
        """Queue a batch; raises Unavailable. One that is cancelled before its turn is not written."""
        with self._submit_lock:  # nothing may queue behind the mark that ends the thread
            if self._stopping:
                raise Unavailable(STOPPING_MESSAGE, 2)
            if self._queue.qsize() >= MAX_QUEUED_BATCHES:
                raise Unavailable("Too many requests wait for the database; try again.")
            self._queue.put(batch)
            self._metrics.set_queue_length(self._queue.qsize())
        return batch.result

    def count_traffic(self, key_id: int, traffic: TrafficCounts) -> None:
        """Add a request that needs no commit of its own to the figures of its key."""
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
        """The batches that wait now, at least one unless none came for a while; and whether to end."""
        group: list[Batch] = []
        rows = 0
        try:
            next_one = self._queue.get(timeout=TRAFFIC_FLUSH_SECONDS)
            while next_one is not None:
                # From here on it cannot be cancelled.
                if next_one.result.set_running_or_notify_cancel():
                    group.append(next_one)
                    rows += len(next_one.matches) + len(next_one.rejected)
                if rows >= MAX_ROWS_PER_TRANSACTION:
                    return group, False
                next_one = self._queue.get_nowait()
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
                log.exception("a batch could not be stored")
                for batch in group:
                    batch.result.set_exception(error)
                return
            # One of them is at fault: the others must not fail with it.
            for batch in group:
                self._write_group([batch])
        else:
            for batch, result in zip(group, results, strict=True):
                batch.result.set_result(result)

    def _commit(self, group: list[Batch]) -> list[RecordResult]:
        with self._traffic_lock:
            traffic, self._traffic = self._traffic, {}
        unwritten = {place: replace(figures) for place, figures in traffic.items()}
        started_at = perf_counter()
        try:
            with self._database.write(_lock_timeout(group)) as session:
                at = self._receipt_time()
                exclusions = self._exclusions.by_rule(session)
                results = record_matches(
                    session, [batch.matches for batch in group], exclusions=exclusions, at=at
                )
                for batch, result in zip(group, results, strict=True):
                    _quarantine_rejected(session, batch, at)
                    _add_traffic(traffic, batch.key_id, _batch_traffic(batch, result, at))
                for (key_id, minute), figures in traffic.items():
                    add_traffic(session, key_id, minute, figures)
        except BaseException:
            with self._traffic_lock:
                for (key_id, _), figures in unwritten.items():
                    _add_traffic(self._traffic, key_id, figures)
            raise
        self._metrics.record_commit(perf_counter() - started_at)
        for batch, result in zip(group, results, strict=True):
            reasons = (rejected.reason for rejected in batch.rejected)
            self._metrics.record_request(_batch_traffic(batch, result, at), reasons)
        return results

    def _receipt_time(self) -> datetime:
        now = self._clock()
        if self._last_receipt_time is None or now > self._last_receipt_time:
            self._last_receipt_time = now
        return self._last_receipt_time


def _lock_timeout(group: Sequence[Batch]) -> float:
    """How many seconds the one that has waited longest may go on waiting."""
    now = monotonic()
    oldest = min((batch.queued_at for batch in group), default=now)
    return max(MIN_LOCK_TIMEOUT_SECONDS, WRITE_TIMEOUT_SECONDS - (now - oldest))


def _quarantine_rejected(session: Session, batch: Batch, at: datetime) -> None:
    quarantine.insert_many(
        session,
        [
            {
                "key_id": batch.key_id,
                "received_at": at,
                "reason": one.reason,
                "event": one.raw_event.raw,
            }
            for one in batch.rejected
        ],
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


def _add_traffic(into: TrafficByMinute, key_id: int, more: TrafficCounts) -> None:
    if more.seen_at is None:
        return
    place = key_id, more.seen_at.replace(second=0, microsecond=0)
    into.setdefault(place, TrafficCounts()).add(more)
