"""Evaluate events against the rules; find the events that match a rule and the events to reject."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeAlias

import msgspec

from app.detection.detector import Detector
from app.detection.rule import Rule
from app.domain.ecs_fields import Document
from app.formats import EventParseError, RejectionKind, parse_event
from app.ingest.events import RawEvent, RejectedEvent
from app.ingest.lines import EventBlock, EventLines


class MatchingEvent(msgspec.Struct, frozen=True):
    """An event that matches at least one rule.

    `rules` are all rules that the event matches. `document` is the event converted to ECS.
    """

    raw_event: RawEvent
    rules: tuple[Rule, ...]
    document: Document


Evaluation: TypeAlias = MatchingEvent | RejectedEvent


def evaluate(
    events: EventBlock | Iterable[RawEvent | RejectedEvent],
    detector: Detector,
    max_event_bytes: int,
) -> Iterator[Evaluation]:
    """Yield the events that match a rule, and the rejected events.

    Events that are already rejected in `events` are yielded too. Most events match no rule. To save time,
    only the fields that the rules read are decoded for these events.
    """
    if isinstance(events, EventLines):
        match = detector.match_json if events.is_ascii else partial(_match_raw, detector)
        for raw_event, rules in events.select(match, max_event_bytes):
            yield from _evaluate_document(raw_event, rules, detector, max_event_bytes)
        return
    for event in events:
        if isinstance(event, RejectedEvent):
            yield event
            continue
        raw = event.raw
        rules = _match_raw(detector, raw) if len(raw) <= max_event_bytes else None
        if rules or rules is None:
            yield from _evaluate_document(event, rules, detector, max_event_bytes)


def _evaluate_document(
    raw_event: RawEvent, rules: tuple[Rule, ...] | None, detector: Detector, max_event_bytes: int
) -> Iterator[Evaluation]:
    """Parse the complete event, and yield it if it matches a rule or is rejected.

    `rules` are the rules that the event matches. In these cases the rules are not known yet, and
    `rules` is None:

    - The event is too large or invalid.
    - The event is in the envelope of a shipper.
    - `match_json` does not support the format or structure of the event.

    If `rules` is None and the event is not rejected, this function matches the complete document.
    """
    document = parse_within_limit(raw_event, max_event_bytes)
    if isinstance(document, RejectedEvent):
        yield document
        return
    if rules is None:
        rules = detector.match_document(document)
    if rules:
        yield MatchingEvent(raw_event, rules, document)


def parse_within_limit(raw_event: RawEvent, max_event_bytes: int) -> Document | RejectedEvent:
    """Return the event's ECS document, or a RejectedEvent if the event is too large or cannot be parsed."""
    if len(raw_event.raw) > max_event_bytes:
        reason = f"larger than {max_event_bytes} bytes"
        return RejectedEvent(raw_event, reason, RejectionKind.TOO_LARGE)
    try:
        return parse_event(raw_event.raw)
    except EventParseError as error:
        return RejectedEvent(raw_event, str(error), error.kind)


def _match_raw(detector: Detector, raw: bytes) -> tuple[Rule, ...] | None:
    """Return the result of `detector.match_json`, or None if `raw` is not valid UTF-8.

    `match_json` does not notice invalid UTF-8 in fields that no rule reads, so this function checks `raw`
    first.
    """
    return detector.match_json(raw) if raw.isascii() or _is_utf8(raw) else None


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
