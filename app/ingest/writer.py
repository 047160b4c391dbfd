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
from app.ingest.measures import Measures
from app.ingest.recording import NewMatch, Outcome, record
from app.store import keys, quarantine
from app.store.database import Database, Session
from app.store.exclusions import LiveExclusions
from app.store.keys import Traffic

# More waiting batches than this are refused: the agent keeps them and tries again.
QUEUE_LIMIT = 256
# Rows in one transaction, about: more make everyone in it wait without saving much.
GROUP_ROWS = 2_000
# How often the counts of requests without a match are written, in seconds.
TRAFFIC_SECONDS = 2.0
# How long the end waits for the last transaction; the requests in it have had their grace before.
STOP_SECONDS = 0.5
# How long a request may go on waiting for its commit once the server was told to stop.
HURRY_SECONDS = 0.5
# How long a batch may wait for its transaction to begin, its time in the queue and that for the lock
# together; but whoever comes out of the queue so late tries the lock for a moment at least.
PATIENCE_SECONDS = 5.0
MOMENT_SECONDS = 0.5
STOPPING = "Deckwatch is stopping; send this again in a moment."
BUSY = "The database is busy; nothing was stored. Send this again in a moment."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """An event for quarantine."""

    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request brought."""

    key_id: int
    matches: Sequence[NewMatch]
    refused: Sequence[Refused]
    received: int
    size: int
    done: "Future[Outcome]" = field(default_factory=Future)
    queued_at: float = field(default_factory=monotonic)


# Figures not yet written, by key and minute.
TrafficByMinute: TypeAlias = dict[tuple[int, datetime], Traffic]


class Writer:
    """Started with `start`, stopped with `stop`, which first writes what is queued.

    `clock` gives aware UTC; receipt times never go back even when it does.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime],
        measures: Measures | None = None,
    ) -> None:
        self._database = database
        self._measures = measures or Measures()
        self._clock = clock
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._exclusions = LiveExclusions()
        self._last_receipt: datetime | None = None
        self._traffic: TrafficByMinute = {}
        self._traffic_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._gate = threading.Lock()
        self._stopping = False
        self._hurried = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued, then end; batches submitted later are refused.

        A locked or full database is not waited for: what it did not take was never acknowledged.
        """
        with self._gate:
            self._stopping = True
            self._queue.put(None)
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            log.warning("the database did not take what was queued; its senders will send it again")

    def hurry(self) -> None:
        """From now on nobody waits for long: what a locked database does not take is refused."""
        self._hurried = True

    def write(self, batch: Batch) -> Outcome:
        """Queue a batch and wait for its commit. Raises Unavailable when it cannot be had.

        One that was refused in a hurry may be committed all the same; sent again, it is a duplicate.
        """
        done = self.submit(batch)
        waited = 0.0
        while True:
            try:
                return done.result(timeout=HURRY_SECONDS)
            except TimeoutError:
                waited += HURRY_SECONDS
                self._give_up(done, waited)

    async def written(self, batch: Batch) -> Outcome:
        """The same without a thread that waits: however many batches wait, pages are served."""
        done = self.submit(batch)
        waiting = asyncio.wrap_future(done)
        waited = 0.0
        while True:
            finished, _ = await asyncio.wait([waiting], timeout=HURRY_SECONDS)
            if finished:
                return waiting.result()
            waited += HURRY_SECONDS
            self._give_up(done, waited)

    def _give_up(self, done: "Future[Outcome]", waited: float) -> None:
        """Raises Unavailable when it was waited for long enough."""
        if self._hurried:
            done.cancel()
            raise Unavailable(STOPPING, 2)
        # What is being written is not given up: it will be stored, or be refused by the database.
        if waited >= PATIENCE_SECONDS and done.cancel():
            raise Unavailable(BUSY, 2)

    def submit(self, batch: Batch) -> "Future[Outcome]":
        """Queue a batch; raises Unavailable. One that is cancelled before its turn is not written."""
        with self._gate:  # nothing may queue behind the mark that ends the thread
            if self._stopping:
                raise Unavailable(STOPPING, 2)
            if self._queue.qsize() >= QUEUE_LIMIT:
                raise Unavailable("Too many requests wait for the database; try again.")
            self._queue.put(batch)
            self._measures.waiting(self._queue.qsize())
        return batch.done

    def count(self, key_id: int, traffic: Traffic) -> None:
        """Add a request that needs no commit of its own to the figures of its key."""
        traffic.seen_at = self._clock()
        with self._traffic_lock:
            _add(self._traffic, key_id, traffic)
        self._measures.took(traffic, ())

    def _run(self) -> None:
        ending = False
        while not ending:
            group, ending = self._gather()
            self._measures.waiting(self._queue.qsize())
            if group or self._traffic:
                self._write_group(group)

    def _gather(self) -> tuple[list[Batch], bool]:
        """The batches that wait now, at least one unless none came for a while; and whether to end."""
        group: list[Batch] = []
        weight = 0
        try:
            next_one = self._queue.get(timeout=TRAFFIC_SECONDS)
            while next_one is not None:
                # From here on it cannot be cancelled.
                if next_one.done.set_running_or_notify_cancel():
                    group.append(next_one)
                    weight += len(next_one.matches) + len(next_one.refused)
                if weight >= GROUP_ROWS:
                    return group, False
                next_one = self._queue.get_nowait()
        except queue.Empty:
            return group, False
        return group, True

    def _write_group(self, group: list[Batch]) -> None:
        try:
            outcomes = self._commit(group)
        except Unavailable as error:
            for batch in group:
                batch.done.set_exception(error)
        except Exception as error:
            if len(group) <= 1:
                log.exception("a batch could not be stored")
                for batch in group:
                    batch.done.set_exception(error)
                return
            # One of them is at fault: the others must not fail with it.
            for batch in group:
                self._write_group([batch])
        else:
            for batch, outcome in zip(group, outcomes, strict=True):
                batch.done.set_result(outcome)

    def _commit(self, group: list[Batch]) -> list[Outcome]:
        with self._traffic_lock:
            traffic, self._traffic = self._traffic, {}
        kept = {place: replace(figures) for place, figures in traffic.items()}
        begun = perf_counter()
        try:
            with self._database.write(_patience(group)) as session:
                at = self._receipt_time()
                exclusions = self._exclusions.as_of(session)
                outcomes = record(
                    session, [batch.matches for batch in group], exclusions=exclusions, at=at
                )
                for batch, outcome in zip(group, outcomes, strict=True):
                    _quarantine(session, batch, at)
                    _add(traffic, batch.key_id, _traffic_of(batch, outcome, at))
                for (key_id, minute), figures in traffic.items():
                    keys.add_traffic(session, key_id, minute, figures)
        except BaseException:
            with self._traffic_lock:
                for (key_id, _), figures in kept.items():
                    _add(self._traffic, key_id, figures)
            raise
        self._measures.committed(perf_counter() - begun)
        for batch, outcome in zip(group, outcomes, strict=True):
            reasons = (refused.reason for refused in batch.refused)
            self._measures.took(_traffic_of(batch, outcome, at), reasons)
        return outcomes

    def _receipt_time(self) -> datetime:
        now = self._clock()
        if self._last_receipt is None or now > self._last_receipt:
            self._last_receipt = now
        return self._last_receipt


def _patience(group: Sequence[Batch]) -> float:
    """How many seconds the one that has waited longest may go on waiting."""
    now = monotonic()
    oldest = min((batch.queued_at for batch in group), default=now)
    return max(MOMENT_SECONDS, PATIENCE_SECONDS - (now - oldest))


def _quarantine(session: Session, batch: Batch, at: datetime) -> None:
    quarantine.insert_many(
        session,
        [
            {"key_id": batch.key_id, "received_at": at, "reason": one.reason, "event": one.raw}
            for one in batch.refused
        ],
    )


def _traffic_of(batch: Batch, outcome: Outcome, at: datetime) -> Traffic:
    return Traffic(
        received=batch.received,
        matched=outcome.matched,
        suppressed=outcome.suppressed,
        duplicates=outcome.duplicates,
        rejected=len(batch.refused),
        bytes=batch.size,
        seen_at=at,
    )


def _add(into: TrafficByMinute, key_id: int, more: Traffic) -> None:
    if more.seen_at is None:
        return
    place = key_id, more.seen_at.replace(second=0, microsecond=0)
    into.setdefault(place, Traffic()).add(more)
