"""From the bytes of one request to its receipt: cut, decide, hand the few that matter to the writer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.detection.detector import Detector
from app.detection.rule import Rule
from app.domain.ecs import Document
from app.domain.event import event_from_ecs
from app.formats import Unreadable, normalise, read
from app.formats.json_text import decode, may_be_deep
from app.ingest.body import EVENTS_LIMIT, Item, cut
from app.ingest.current_detector import CurrentDetector
from app.ingest.recording import NewMatch, Outcome
from app.ingest.writer import Batch, Refused, Writer
from app.store.keys import Traffic


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


@dataclass(frozen=True, slots=True)
class Judged:
    """One event: the rules it matches and its document when there are any, or why it was refused."""

    item: Item
    rules: tuple[Rule, ...] = ()
    document: Document | None = None
    refusal: str | None = None


def judge(items: Iterable[Item], detector: Detector, max_event_bytes: int) -> Iterator[Judged]:
    """Decide each event. Most end here, read only as far as the rules look."""
    for item in items:
        if len(item.raw) > max_event_bytes:
            yield Judged(item, refusal=too_large(max_event_bytes))
            continue
        quick = _is_utf8(item.raw) and not may_be_deep(item.raw)
        rules = detector.decide(item.raw) if quick else None
        if rules is None:
            yield _judge_whole(item, detector)
        elif rules:
            yield _matched(item, rules)


def too_large(max_event_bytes: int) -> str:
    return f"larger than {max_event_bytes} bytes"


def _is_utf8(raw: bytes) -> bool:
    if raw.isascii():
        return True
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _matched(item: Item, rules: tuple[Rule, ...]) -> Judged:
    try:
        return Judged(item, rules, read(item.raw))
    except Unreadable as error:
        return Judged(item, refusal=str(error))


def _judge_whole(item: Item, detector: Detector) -> Judged:
    """The slow way, for what the fast one leaves open: wrapped, oddly shaped, or broken."""
    try:
        document = normalise(decode(item.raw))
    except Unreadable as error:
        return Judged(item, refusal=str(error))
    return Judged(item, detector.decide_document(document), document)


class Pipeline:
    """`take` blocks until everything that matters is durable; it runs on a thread of its own request."""

    def __init__(self, current: CurrentDetector, writer: Writer, *, max_event_bytes: int) -> None:
        self._current = current
        self._writer = writer
        self._max_event_bytes = max_event_bytes

    def take(self, body: bytes, *, key_id: int) -> Receipt:
        """Raises UnreadableBody, TooLarge, or Unavailable when nothing was taken."""
        items = cut(body, EVENTS_LIMIT)
        # Once a request: it is decided by the rules of one moment, however many events it brings.
        detector = self._current.detector
        matched: list[NewMatch] = []
        refused: list[Refused] = []
        rejected: list[Rejected] = []
        for judged in judge(items, detector, self._max_event_bytes):
            item = judged.item
            if judged.refusal is not None:
                refused.append(Refused(item.raw, judged.refusal))
                rejected.append(Rejected(item.index, item.line, judged.refusal))
            elif judged.rules and judged.document is not None:
                event = event_from_ecs(judged.document)
                matched += (NewMatch(key_id, rule, event, item.raw) for rule in judged.rules)
        outcome = Outcome()
        if matched or refused:
            outcome = self._writer.write(
                Batch(key_id, matched, refused, received=len(items), size=len(body))
            )
        else:
            self._writer.count(key_id, Traffic(received=len(items), bytes=len(body)))
        return Receipt(
            received=len(items),
            matched=outcome.matched,
            suppressed=outcome.suppressed,
            duplicates=outcome.duplicates,
            rejected=tuple(rejected),
        )
