"""From the bytes of one request to its receipt: cut, decide, hand the few that matter to the writer."""

from collections.abc import AsyncIterable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Protocol

from app.detection.detector import Detector
from app.domain.event import event_from_ecs
from app.ingest.blocks import Cutter
from app.ingest.body import EVENTS_LIMIT, Inflated
from app.ingest.budget import Budget, Share
from app.ingest.current_detector import CurrentDetector
from app.ingest.judging import Judged, judge
from app.ingest.lines import Item
from app.ingest.recording import NewMatch, Outcome
from app.ingest.turns import Turns
from app.ingest.writer import Batch, Refused, Writer
from app.store.keys import Traffic

# As many bytes of a body are judged at once: more would be held longer, fewer cost a change of threads.
BLOCK = 1 << 20
# Chunks that are smaller are put together first: each costs some time of its own.
_WORTH = 16 << 10
# A body that has no more bytes and lines is judged at once, in a few milliseconds at most and mostly in less
# time than it takes to change threads twice.
AT_ONCE = 8 << 10
LINES_AT_ONCE = 64
# How many bodies of the largest size may be held in memory, by all requests together.
BODIES_HELD = 4
# What a match and a rejection take besides the event's own bytes, about.
_MATCHED_BYTES = 8 << 10
_REJECTED_BYTES = 512


@dataclass(frozen=True, slots=True)
class Rejected:
    """One event that could not be read: its place among the events, its line, and why."""

    index: int
    line: int
    error: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request's events. `matched` are the matches stored by it, `suppressed` those of
    them that an exclusion covered, `duplicates` the matches stored before; received = accepted + rejected.
    """

    received: int
    matched: int
    suppressed: int
    duplicates: int
    rejected: tuple[Rejected, ...]


class Intake:
    """One request's events. `judge` may be called again and again; what matters is kept until it is
    stored as a whole or not at all. All are decided by the rules of one moment.
    """

    def __init__(self, detector: Detector, *, key_id: int, max_event_bytes: int) -> None:
        self._detector = detector
        self._key_id = key_id
        self._max_event_bytes = max_event_bytes
        self._matched: list[NewMatch] = []
        self._refused: list[Refused] = []
        self._rejected: list[Rejected] = []
        self.received = 0
        # About how many bytes all this takes.
        self.held = 0

    def judge(self, events: Iterable[Item]) -> None:
        self.keep(judge(events, self._detector, self._max_event_bytes))

    def keep(self, some: Iterable[Judged]) -> None:
        """What matters of events that are judged already."""
        for judged in some:
            item = judged.item
            if judged.refusal is not None:
                self._refused.append(Refused(item.raw, judged.refusal))
                self._rejected.append(Rejected(item.index, item.line, judged.refusal))
                self.held += len(item.raw) + _REJECTED_BYTES
            elif judged.document is not None:
                event = event_from_ecs(judged.document)
                self._matched += (
                    NewMatch(self._key_id, rule, event, item.raw) for rule in judged.rules
                )
                self.held += len(item.raw) + _MATCHED_BYTES

    def batch(self, size: int) -> Batch | None:
        """What there is to be written, None when nothing is; `size` is the body's."""
        if not self._matched and not self._refused:
            return None
        return Batch(self._key_id, self._matched, self._refused, self.received, size)

    def traffic(self, size: int) -> Traffic:
        """What there is to be counted when nothing is written."""
        return Traffic(received=self.received, bytes=size)

    def receipt(self, outcome: Outcome) -> Receipt:
        return Receipt(
            received=self.received,
            matched=outcome.matched,
            suppressed=outcome.suppressed,
            duplicates=outcome.duplicates,
            rejected=tuple(self._rejected),
        )


class EventCutter(Protocol):
    """Finds the events of a body, part by part; `refused` gives once what was refused meanwhile.

    What `feed` and `end` give has to be taken, all of it, before the next call. `found` counts it, and
    what was refused.
    """

    @property
    def held(self) -> int: ...

    @property
    def found(self) -> int: ...

    def feed(self, part: bytes) -> Iterable[Iterable[Item]]: ...

    def end(self) -> Iterable[Iterable[Item]]: ...

    def refused(self) -> Sequence[Judged]: ...


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
        self._turns = Turns()
        self.budget = Budget(BODIES_HELD * max_body_bytes)

    def stop(self) -> None:
        """No body comes any more."""
        self._turns.stop()

    async def take_stream(
        self,
        parts: AsyncIterable[bytes],
        *,
        encoding: str,
        key_id: int,
        cutter: EventCutter | None = None,
    ) -> Receipt:
        """Judge a body that is still arriving, block by block; waits and keeps no thread from others.

        Only one block and what matters of those before it are held, but for a body that has to be
        read whole (see Cutter). Raises UnknownEncoding, UnreadableBody, TooLarge, or Unavailable when
        nothing was taken, as when all requests together hold too much.
        """
        reading = _Reading(
            Inflated(encoding, self._max_body_bytes),
            cutter
            or Cutter(
                whole_limit=self._max_body_bytes,
                max_line_bytes=self._max_body_bytes,
                most=EVENTS_LIMIT,
            ),
            self._intake(key_id),
        )
        pending: list[bytes] = []
        size = 0
        with self.budget.share(key_id) as share:
            async for part in parts:
                pending.append(part)
                size += len(part)
                share.hold(size + reading.held)
                if size >= BLOCK:
                    block, pending, size = pending, [], 0
                    await self._turns.run(key_id, partial(reading.judge, block, share))
            if reading.is_untouched and _is_small(pending):
                reading.judge_last(pending, share)
            else:
                await self._turns.run(key_id, partial(reading.judge_last, pending, share))
            return await self._stored(reading.intake, reading.size, key_id)

    async def _stored(self, intake: Intake, size: int, key_id: int) -> Receipt:
        batch = intake.batch(size)
        if batch is not None:
            return intake.receipt(await self._writer.written(batch))
        self._writer.count(key_id, intake.traffic(size))
        return intake.receipt(Outcome())

    def _intake(self, key_id: int) -> Intake:
        return Intake(self._current.detector, key_id=key_id, max_event_bytes=self._max_event_bytes)


def _is_small(chunks: Sequence[bytes]) -> bool:
    return (
        sum(map(len, chunks)) <= AT_ONCE
        and sum(chunk.count(b"\n") for chunk in chunks) <= LINES_AT_ONCE
    )


def _joined(chunks: Sequence[bytes]) -> Iterable[bytes]:
    """The same bytes in chunks that are worth a turn each, and no larger than need be."""
    worth = sum(map(len, chunks)) >= len(chunks) * _WORTH
    return chunks if worth else [b"".join(chunks)]


@dataclass(frozen=True, slots=True)
class _Reading:
    """A body on its way from its chunks to judged events."""

    inflated: Inflated
    cutter: EventCutter
    intake: Intake

    @property
    def held(self) -> int:
        return self.cutter.held + self.intake.held

    @property
    def size(self) -> int:
        return self.inflated.size

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was judged yet, and nothing will become more than it is."""
        return self.inflated.is_plain and not self.inflated.size

    def judge(self, chunks: Sequence[bytes], share: Share) -> None:
        for part in chain.from_iterable(map(self.inflated.feed, _joined(chunks))):
            self._judge(self.cutter.feed(part))
            share.hold(len(part) + self.held)

    def judge_last(self, chunks: Sequence[bytes], share: Share) -> None:
        self.judge(chunks, share)
        self.inflated.end()
        self._judge(self.cutter.end())
        self.intake.received = self.cutter.found
        share.hold(self.held)

    def _judge(self, blocks: Iterable[Iterable[Item]]) -> None:
        for events in blocks:
            self.intake.judge(events)
        self.intake.keep(self.cutter.refused())
