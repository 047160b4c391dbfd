"""From the bytes of one request to its receipt: cut, decide, hand the few that matter to the writer."""

from collections.abc import AsyncIterable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Protocol

from app.detection.detector import Detector
from app.domain.event import event_from_ecs
from app.ingest.body import MAX_EVENTS_PER_REQUEST, BodyDecompressor
from app.ingest.current_detector import CurrentDetector
from app.ingest.evaluate import Evaluation, evaluate
from app.ingest.events import RawEvent, RejectedEvent
from app.ingest.memory_budget import MemoryBudget, MemoryReservation
from app.ingest.record import NewMatch, RecordResult
from app.ingest.split import JsonSplitter
from app.ingest.thread_pool import FairThreadPool
from app.ingest.writer import Batch, Writer
from app.store.traffic import TrafficCounts

# As many bytes of a body are judged at once: more would be held longer, fewer cost a change of threads.
BLOCK_BYTES = 1 << 20
# Chunks that are smaller are put together first: each costs some time of its own.
_MIN_CHUNK_BYTES = 16 << 10
# A body that has no more bytes and lines is judged at once, in a few milliseconds at most and mostly in less
# time than it takes to change threads twice.
MAX_INLINE_BYTES = 8 << 10
MAX_INLINE_LINES = 64
# How many bodies of the largest size may be held in memory, by all requests together.
MAX_BODIES_IN_MEMORY = 4
# What a match and a rejection take besides the event's own bytes, about.
_MATCH_OVERHEAD_BYTES = 8 << 10
_REJECTION_OVERHEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request's events. `matched` are the matches stored by it, `suppressed` those of
    them that an exclusion covered, `duplicates` the matches stored before; received = accepted + rejected.
    """

    received: int
    matched: int
    suppressed: int
    duplicates: int
    rejected: tuple[RejectedEvent, ...]


class RequestEvents:
    """One request's events. `judge` may be called again and again; what matters is kept until it is
    stored as a whole or not at all. All are decided by the rules of one moment.
    """

    def __init__(self, detector: Detector, *, key_id: int, max_event_bytes: int) -> None:
        self._detector = detector
        self._key_id = key_id
        self._max_event_bytes = max_event_bytes
        self._matches: list[NewMatch] = []
        self._rejected: list[RejectedEvent] = []
        self.received = 0
        # About how many bytes all this takes.
        self.buffered_bytes = 0

    def evaluate(self, events: Iterable[RawEvent]) -> None:
        self.add(evaluate(events, self._detector, self._max_event_bytes))

    def add(self, evaluations: Iterable[Evaluation]) -> None:
        """What matters of events that are judged already."""
        for evaluation in evaluations:
            raw_event = evaluation.raw_event
            if evaluation.rejection_reason is not None:
                self._rejected.append(RejectedEvent(raw_event, evaluation.rejection_reason))
                self.buffered_bytes += len(raw_event.raw) + _REJECTION_OVERHEAD_BYTES
            elif evaluation.document is not None:
                event = event_from_ecs(evaluation.document)
                self._matches += (
                    NewMatch(self._key_id, rule, event, raw_event.raw)
                    for rule in evaluation.matching_rules
                )
                self.buffered_bytes += len(raw_event.raw) + _MATCH_OVERHEAD_BYTES

    def to_batch(self, size: int) -> Batch | None:
        """What there is to be written, None when nothing is; `size` is the body's."""
        if not self._matches and not self._rejected:
            return None
        return Batch(self._key_id, self._matches, self._rejected, self.received, size)

    def traffic(self, size: int) -> TrafficCounts:
        """What there is to be counted when nothing is written."""
        return TrafficCounts(received=self.received, bytes=size)

    def receipt(self, result: RecordResult) -> Receipt:
        return Receipt(
            received=self.received,
            matched=result.matched,
            suppressed=result.suppressed,
            duplicates=result.duplicates,
            rejected=tuple(self._rejected),
        )


class Splitter(Protocol):
    """Finds the events of a body, part by part; `refused` gives once what was refused meanwhile.

    What `feed` and `end` give has to be taken, all of it, before the next call. `found` counts it, and
    what was refused.
    """

    @property
    def buffered_bytes(self) -> int: ...

    @property
    def event_count(self) -> int: ...

    def feed(self, part: bytes) -> Iterable[Iterable[RawEvent]]: ...

    def end(self) -> Iterable[Iterable[RawEvent]]: ...

    def take_rejected(self) -> Sequence[Evaluation]: ...


class Pipeline:
    """What matters of a request is durable before its receipt is there. Used on one event loop, until
    `stop`.
    """

    def __init__(
        self,
        current: CurrentDetector,
        writer: Writer,
        *,
        max_event_bytes: int,
        max_body_bytes: int,
    ) -> None:
        self._current = current
        self._writer = writer
        self._max_event_bytes = max_event_bytes
        self._max_body_bytes = max_body_bytes
        self._threads = FairThreadPool()
        self.budget = MemoryBudget(MAX_BODIES_IN_MEMORY * max_body_bytes)

    def stop(self) -> None:
        """No body comes any more."""
        self._threads.stop()

    async def ingest_stream(
        self,
        parts: AsyncIterable[bytes],
        *,
        encoding: str,
        key_id: int,
        splitter: Splitter | None = None,
    ) -> Receipt:
        """Judge a body that is still arriving, block by block; waits and keeps no thread from others.

        Only one block and what matters of those before it are held, but for a body that has to be
        read whole (see JsonSplitter). Raises UnsupportedEncoding, UnreadableBody, ContentTooLarge, or Unavailable when
        nothing was taken, as when all requests together hold too much.
        """
        body = _BodyReader(
            BodyDecompressor(encoding, self._max_body_bytes),
            splitter
            or JsonSplitter(
                max_document_bytes=self._max_body_bytes,
                max_line_bytes=self._max_body_bytes,
                max_events=MAX_EVENTS_PER_REQUEST,
            ),
            self._new_request_events(key_id),
        )
        pending: list[bytes] = []
        size = 0
        with self.budget.reserve(key_id) as reservation:
            async for part in parts:
                pending.append(part)
                size += len(part)
                reservation.resize(size + body.buffered_bytes)
                if size >= BLOCK_BYTES:
                    block, pending, size = pending, [], 0
                    await self._threads.run(key_id, partial(body.feed, block, reservation))
            if body.is_unread_and_uncompressed and _is_small(pending):
                body.finish(pending, reservation)
            else:
                await self._threads.run(key_id, partial(body.finish, pending, reservation))
            return await self._store(body.request_events, body.body_bytes, key_id)

    async def _store(self, request_events: RequestEvents, size: int, key_id: int) -> Receipt:
        batch = request_events.to_batch(size)
        if batch is not None:
            return request_events.receipt(await self._writer.write(batch))
        self._writer.count_traffic(key_id, request_events.traffic(size))
        return request_events.receipt(RecordResult())

    def _new_request_events(self, key_id: int) -> RequestEvents:
        return RequestEvents(
            self._current.detector, key_id=key_id, max_event_bytes=self._max_event_bytes
        )


def _is_small(chunks: Sequence[bytes]) -> bool:
    return (
        sum(map(len, chunks)) <= MAX_INLINE_BYTES
        and sum(chunk.count(b"\n") for chunk in chunks) <= MAX_INLINE_LINES
    )


def _join_small_chunks(chunks: Sequence[bytes]) -> Iterable[bytes]:
    """The same bytes in chunks that are worth a turn each, and no larger than need be."""
    worth = sum(map(len, chunks)) >= len(chunks) * _MIN_CHUNK_BYTES
    return chunks if worth else [b"".join(chunks)]


@dataclass(frozen=True, slots=True)
class _BodyReader:
    """A body on its way from its chunks to judged events."""

    decompressor: BodyDecompressor
    splitter: Splitter
    request_events: RequestEvents

    @property
    def buffered_bytes(self) -> int:
        return self.splitter.buffered_bytes + self.request_events.buffered_bytes

    @property
    def body_bytes(self) -> int:
        return self.decompressor.decompressed_bytes

    @property
    def is_unread_and_uncompressed(self) -> bool:
        """Whether nothing was judged yet, and nothing will become more than it is."""
        return self.decompressor.is_identity and not self.decompressor.decompressed_bytes

    def feed(self, chunks: Sequence[bytes], reservation: MemoryReservation) -> None:
        for part in chain.from_iterable(map(self.decompressor.feed, _join_small_chunks(chunks))):
            self._evaluate(self.splitter.feed(part))
            reservation.resize(len(part) + self.buffered_bytes)

    def finish(self, chunks: Sequence[bytes], reservation: MemoryReservation) -> None:
        self.feed(chunks, reservation)
        self.decompressor.end()
        self._evaluate(self.splitter.end())
        self.request_events.received = self.splitter.event_count
        reservation.resize(self.buffered_bytes)

    def _evaluate(self, blocks: Iterable[Iterable[RawEvent]]) -> None:
        for events in blocks:
            self.request_events.evaluate(events)
        self.request_events.add(self.splitter.take_rejected())
