"""Which events match, which are refused: one by one, or a body's lines where they stand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from app.detection.detector import Detector
from app.detection.rule import Rule
from app.domain.ecs_fields import Document
from app.formats import EventParseError, parse_event
from app.ingest.events import LineCursor, RawEvent


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One event: the rules it matches and its document when there are any, or why it was refused."""

    raw_event: RawEvent
    matching_rules: tuple[Rule, ...] = ()
    document: Document | None = None
    rejection_reason: str | None = None


def evaluate(
    events: Iterable[RawEvent], detector: Detector, max_event_bytes: int
) -> Iterator[Evaluation]:
    """Decide each event; gives those that match or are refused. Most are read only as far as rules look."""
    if isinstance(events, LineCursor):
        yield from _evaluate_lines(events, detector, max_event_bytes)
        return
    for raw_event in events:
        raw = raw_event.raw
        rules = _decide(detector, raw) if len(raw) <= max_event_bytes else None
        if rules or rules is None:
            yield from _evaluate_document(raw_event, rules, detector, max_event_bytes)


def _evaluate_lines(
    lines: LineCursor, detector: Detector, max_event_bytes: int
) -> Iterator[Evaluation]:
    """Nearly all events come by here: only those of which there may be more to say are made items."""
    body, start, stop = lines.body, lines.start, lines.stop
    decide = detector.match_json if lines.is_ascii else partial(_decide, detector)
    step = 2 if lines.line_prefix else 1
    skipped = 0
    try:
        while start < stop:
            begin = lines.find_event_start(start) if lines.line_prefix else start
            if begin < 0:
                break
            end = body.find(b"\n", begin, stop)
            if end < 0:
                end = stop
            rules = decide(body[begin:end]) if end - begin <= max_event_bytes else None
            if rules or rules is None:
                lines.advance(skipped, start)
                skipped = 0
                raw_event = next(lines, None)
                start = lines.start
                if raw_event is None:
                    break
                if start == end + 1 and len(raw_event.raw) == end - begin:
                    yield from _evaluate_document(raw_event, rules, detector, max_event_bytes)
                else:  # there was white space, or nothing else
                    yield from evaluate([raw_event], detector, max_event_bytes)
            else:
                skipped += step
                start = end + 1
    finally:
        lines.advance(skipped, start)


def _evaluate_document(
    raw_event: RawEvent, rules: tuple[Rule, ...] | None, detector: Detector, max_event_bytes: int
) -> Iterator[Evaluation]:
    """One that matches `rules`; for None, one that only a reading of the whole can tell of: wrapped, oddly
    shaped, too large or broken.
    """
    if len(raw_event.raw) > max_event_bytes:
        yield Evaluation(raw_event, rejection_reason=too_large_reason(max_event_bytes))
        return
    try:
        document = parse_event(raw_event.raw)
    except EventParseError as error:
        yield Evaluation(raw_event, rejection_reason=str(error))
        return
    if rules is None:
        rules = detector.match_document(document)
    if rules:
        yield Evaluation(raw_event, rules, document)


def _decide(detector: Detector, raw: bytes) -> tuple[Rule, ...] | None:
    """As the detector says, but None for what is not UTF-8 in a place where no rule looks."""
    return detector.match_json(raw) if raw.isascii() or _is_utf8(raw) else None


def too_large_reason(max_event_bytes: int) -> str:
    return f"larger than {max_event_bytes} bytes"


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
