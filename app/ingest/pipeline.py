"""Ingest one request: decompress, split and evaluate its body, store the results, return a receipt."""

from collections.abc import AsyncIterable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Protocol

from app.detection.detector import Detector
from app.ingest.current_detector import CurrentDetector
from app.ingest.decompress import BodyDecompressor
from app.ingest.evaluate import evaluate
from app.ingest.events import (
    MAX_EVENTS_PER_REQUEST,
    NewRejection,
    RejectedEvent,
    new_rejection,
)
from app.ingest.lines import EventBlock
from app.ingest.memory_budget import MemoryBudget, MemoryReservation
from app.ingest.new_match import NewMatch, new_matches
from app.ingest.record import RecordResult
from app.ingest.split import JsonSplitter
from app.ingest.thread_pool import FairThreadPool
from app.ingest.writer import Batch, Writer
from app.store.traffic import TrafficCounts

# Number of received bytes that one call on a thread evaluates. Larger blocks occupy memory longer, and
# smaller blocks need more thread switches.
BLOCK_BYTES = 1 << 20
# If the chunks are smaller than this on average, they are joined first, because each chunk has a fixed cost.
_MIN_CHUNK_BYTES = 16 << 10
# An uncompressed body within both limits is evaluated on the event loop. This takes at most a few
# milliseconds, and usually less time than to switch to a thread and back.
MAX_INLINE_BYTES = 8 << 10
MAX_INLINE_LINES = 64
# The memory budget of all requests together is this number times the maximum size of a body.
MAX_BODIES_IN_MEMORY = 4
# Approximate memory of a match and of a rejected event, in addition to the bytes of the event.
_MATCH_OVERHEAD_BYTES = 8 << 10
_REJECTION_OVERHEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class Receipt:
    """Counts of one request, and its rejected events.

    `received` counts all events, accepted and rejected. `matched` counts the matches that the request stored,
    and `suppressed` counts the stored matches that an exclusion covers. `duplicates` counts the matches that
    had been stored before. `repeated` contains the digests of the rejected events that were already in
    quarantine, because the agent had sent the same bytes before.
    """

    received: int
    matched: int
    suppressed: int
    duplicates: int
    rejected: tuple[NewRejection, ...]
    repeated: frozenset[bytes]


class Splitter(Protocol):
    """Incremental splitter of a body into blocks of events.

    The caller must iterate over each block before it takes the next block. `event_count` is the number of
    events, including rejected events, in the blocks that the caller has iterated over.
    """

    @property
    def buffered_bytes(self) -> int: ...

    @property
    def event_count(self) -> int: ...

    def feed(self, part: bytes) -> Iterable[EventBlock]: ...

    def end(self) -> Iterable[EventBlock]: ...


class Pipeline:
    """Ingests request bodies; returns a receipt after the matches and rejected events are stored durably.

    A pipeline can be used on only one event loop, until `stop` is called.
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
        """End the evaluation threads. Requests that need a thread are refused from now on."""
        self._threads.stop()

    async def ingest_stream(
        self,
        parts: AsyncIterable[bytes],
        *,
        encoding: str,
        key_id: int,
        splitter: Splitter | None = None,
    ) -> Receipt:
        """Evaluate a body block by block while it arrives, then store its matches and rejected events.

        No thread is blocked while this method waits. The method keeps one block of the body in memory. It
        also keeps all matches and rejected events of the body. If the body is a JSON array, JsonSplitter
        buffers the whole array. If the body is one JSON object on several lines, JsonSplitter buffers the
        whole object. All events are evaluated with the rules that are enabled when the request starts.

        Raises UnsupportedEncoding, UnreadableBody or ContentTooLarge before anything is stored. Raises
        Unavailable if the requests together hold too much memory, the database is not available, or the
        server shuts down.
        """
        body = _RequestBody(
            BodyDecompressor(encoding, self._max_body_bytes),
            splitter
            or JsonSplitter(
                max_document_bytes=self._max_body_bytes,
                max_line_bytes=self._max_body_bytes,
                max_events=MAX_EVENTS_PER_REQUEST,
            ),
            self._current.detector,
            key_id=key_id,
            max_event_bytes=self._max_event_bytes,
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
            return await self._store(body, key_id)

    async def _store(self, body: "_RequestBody", key_id: int) -> Receipt:
        if body.matches or body.rejected:
            result = await self._writer.write(
                Batch(key_id, body.matches, body.rejected, body.event_count, body.size)
            )
        else:
            traffic = TrafficCounts(received=body.event_count, bytes=body.size)
            self._writer.count_traffic(key_id, traffic)
            result = RecordResult()
        return Receipt(
            received=body.event_count,
            matched=result.matched,
            suppressed=result.suppressed,
            duplicates=result.duplicates,
            rejected=tuple(body.rejected),
            repeated=result.repeated,
        )


def _is_small(chunks: Sequence[bytes]) -> bool:
    return (
        sum(map(len, chunks)) <= MAX_INLINE_BYTES
        and sum(chunk.count(b"\n") for chunk in chunks) <= MAX_INLINE_LINES
    )


def _join_small_chunks(chunks: Sequence[bytes]) -> Iterable[bytes]:
    large_enough = sum(map(len, chunks)) >= len(chunks) * _MIN_CHUNK_BYTES
    return chunks if large_enough else [b"".join(chunks)]


class _RequestBody:
    """Converts the chunks of one body into matches and rejected events, and reserves memory for them."""

    def __init__(
        self,
        decompressor: BodyDecompressor,
        splitter: Splitter,
        detector: Detector,
        *,
        key_id: int,
        max_event_bytes: int,
    ) -> None:
        self._decompressor = decompressor
        self._splitter = splitter
        self._detector = detector
        self._key_id = key_id
        self._max_event_bytes = max_event_bytes
        self._result_bytes = 0
        self.matches: list[NewMatch] = []
        self.rejected: list[NewRejection] = []

    @property
    def buffered_bytes(self) -> int:
        """The approximate number of bytes that the splitter, the matches and the rejected events hold."""
        return self._splitter.buffered_bytes + self._result_bytes

    @property
    def event_count(self) -> int:
        return self._splitter.event_count

    @property
    def size(self) -> int:
        """The number of bytes of the body after decompression."""
        return self._decompressor.decompressed_bytes

    @property
    def is_unread_and_uncompressed(self) -> bool:
        return self._decompressor.is_identity and not self._decompressor.decompressed_bytes

    def feed(self, chunks: Sequence[bytes], reservation: MemoryReservation) -> None:
        parts = chain.from_iterable(map(self._decompressor.feed, _join_small_chunks(chunks)))
        for part in parts:
            self._evaluate(self._splitter.feed(part))
            reservation.resize(len(part) + self.buffered_bytes)

    def finish(self, chunks: Sequence[bytes], reservation: MemoryReservation) -> None:
        """Process the last chunks and the end of the body."""
        self.feed(chunks, reservation)
        self._decompressor.end()
        self._evaluate(self._splitter.end())
        reservation.resize(self.buffered_bytes)

    def _evaluate(self, blocks: Iterable[EventBlock]) -> None:
        for events in blocks:
            for evaluation in evaluate(events, self._detector, self._max_event_bytes):
                self._result_bytes += len(evaluation.raw_event.raw)
                if isinstance(evaluation, RejectedEvent):
                    self.rejected.append(new_rejection(evaluation))
                    self._result_bytes += _REJECTION_OVERHEAD_BYTES
                else:
                    self.matches += new_matches(evaluation, self._key_id)
                    self._result_bytes += _MATCH_OVERHEAD_BYTES
