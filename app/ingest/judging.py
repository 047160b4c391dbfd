"""Which events match, which are refused: one by one, or a body's lines where they stand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from app.detection.detector import Detector
from app.detection.rule import Rule
from app.domain.ecs import Document
from app.formats import Unreadable, read
from app.ingest.lines import Item, Lines


@dataclass(frozen=True, slots=True)
class Judged:
    """One event: the rules it matches and its document when there are any, or why it was refused."""

    item: Item
    rules: tuple[Rule, ...] = ()
    document: Document | None = None
    refusal: str | None = None


def judge(events: Iterable[Item], detector: Detector, max_event_bytes: int) -> Iterator[Judged]:
    """Decide each event; gives those that match or are refused. Most are read only as far as rules look."""
    if isinstance(events, Lines):
        yield from _judge_lines(events, detector, max_event_bytes)
        return
    for item in events:
        raw = item.raw
        rules = _decided(detector, raw) if len(raw) <= max_event_bytes else None
        if rules or rules is None:
            yield from _judged(item, rules, detector, max_event_bytes)


def _judge_lines(lines: Lines, detector: Detector, max_event_bytes: int) -> Iterator[Judged]:
    """Nearly all events come by here: only those of which there may be more to say are made items."""
    body, start, stop = lines.body, lines.start, lines.stop
    decide = detector.decide if lines.is_ascii else partial(_decided, detector)
    step = 2 if lines.led_by else 1
    passed = 0
    try:
        while start < stop:
            begin = lines.led(start) if lines.led_by else start
            if begin < 0:
                break
            end = body.find(b"\n", begin, stop)
            if end < 0:
                end = stop
            rules = decide(body[begin:end]) if end - begin <= max_event_bytes else None
            if rules or rules is None:
                lines.skip(passed, start)
                passed = 0
                item = next(lines, None)
                start = lines.start
                if item is None:
                    break
                if start == end + 1 and len(item.raw) == end - begin:
                    yield from _judged(item, rules, detector, max_event_bytes)
                else:  # there was white space, or nothing else
                    yield from judge([item], detector, max_event_bytes)
            else:
                passed += step
                start = end + 1
    finally:
        lines.skip(passed, start)


def _judged(
    item: Item, rules: tuple[Rule, ...] | None, detector: Detector, max_event_bytes: int
) -> Iterator[Judged]:
    """One that matches `rules`; for None, one that only a reading of the whole can tell of: wrapped, oddly
    shaped, too large or broken.
    """
    if len(item.raw) > max_event_bytes:
        yield Judged(item, refusal=too_large(max_event_bytes))
        return
    try:
        document = read(item.raw)
    except Unreadable as error:
        yield Judged(item, refusal=str(error))
        return
    if rules is None:
        rules = detector.decide_document(document)
    if rules:
        yield Judged(item, rules, document)


def _decided(detector: Detector, raw: bytes) -> tuple[Rule, ...] | None:
    """As the detector says, but None for what is not UTF-8 in a place where no rule looks."""
    return detector.decide(raw) if raw.isascii() or _is_utf8(raw) else None


def too_large(max_event_bytes: int) -> str:
    return f"larger than {max_event_bytes} bytes"


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
