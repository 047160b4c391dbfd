"""Evaluation of the lines of a block gives the same results as evaluation of each event by itself."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bootstrap import build_detector, load_configured_rules
from app.detection.detector import Detector
from app.formats import RejectionKind
from app.ingest.bulk import BulkSplitter
from app.ingest.evaluate import Evaluation, evaluate
from app.ingest.events import ContentTooLarge, RawEvent, RejectedEvent
from app.ingest.lines import EventLines, line_block
from app.ingest.split import JsonSplitter
from tests.factories import benign_event, exec_event

MAX_EVENT_BYTES = 4_000
MATCHING = json.dumps(exec_event()).encode()
QUIET = json.dumps(benign_event()).encode()
ACTION = b'{"create":{}}'
# Too deep where no rule reads: rejected if the whole event is parsed, accepted otherwise.
DEEP = QUIET.replace(b"{", b'{"note":' + b"[" * 150 + b"]" * 150 + b",", 1)
TOO_LARGE = MATCHING.replace(b"{", b'{"note":"' + b"x" * MAX_EVENT_BYTES + b'",', 1)
LINES = (
    MATCHING,
    QUIET,
    QUIET + b"\r",
    b" " + MATCHING + b" ",
    b"\x0b" + MATCHING,
    DEEP,
    DEEP + b" \x0b",
    QUIET.replace(b"{", b'{"note":"\xff",', 1),
    QUIET.replace(b"{", '{"note":"ä",'.encode(), 1),
    TOO_LARGE,
    QUIET + b" " * MAX_EVENT_BYTES,
    b"",
    b" \t",
    b"\x0b\x0c",
    b"{",
    b"1",
    b"\xef\xbb\xbf" + QUIET,
    ACTION,
)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return build_detector(load_configured_rules([]).rules)


def position(lines: EventLines) -> tuple[int, int, int, int]:
    return lines.offset, lines.index, lines.line, lines.event_count


@given(st.lists(st.sampled_from(LINES), max_size=8), st.sampled_from([b"", b"\n"]))
def test_lines_in_a_block_are_evaluated_like_single_events(
    detector: Detector, body_lines: Sequence[bytes], end: bytes
) -> None:
    block = line_block(b"\n".join(body_lines) + end)
    iterated, evaluated = EventLines(block), EventLines(block)
    raw_events = list[RawEvent](iterated)
    assert list(evaluate(evaluated, detector, MAX_EVENT_BYTES)) == list(
        evaluate(raw_events, detector, MAX_EVENT_BYTES)
    )
    assert position(evaluated)[1:] == position(iterated)[1:]


def prefixed_lines(body: bytes) -> EventLines:
    return EventLines(line_block(body), prefix=ACTION + b"\n", excluded_prefixes=(b'{"create"',))


@given(st.lists(st.sampled_from([*LINES, *[ACTION] * len(LINES)]), max_size=12))
def test_events_behind_a_repeated_action_are_evaluated_like_single_events(
    detector: Detector, body_lines: Sequence[bytes]
) -> None:
    body = b"\n".join(body_lines)
    iterated, evaluated = prefixed_lines(body), prefixed_lines(body)
    raw_events = list[RawEvent](iterated)
    assert list(evaluate(evaluated, detector, MAX_EVENT_BYTES)) == list(
        evaluate(raw_events, detector, MAX_EVENT_BYTES)
    )
    assert position(evaluated) == position(iterated)
    assert [event.line for event in raw_events] == [2 * (n + 1) for n in range(len(raw_events))]
    for event in raw_events:
        assert body_lines[event.line - 2] == ACTION
        assert body_lines[event.line - 1].strip() == event.raw


def test_evaluation_can_be_interrupted_and_continued(detector: Detector) -> None:
    lines = EventLines(line_block(b"\n".join([QUIET, MATCHING, QUIET, b"{", QUIET])))
    evaluations = evaluate(lines, detector, MAX_EVENT_BYTES)
    assert next(evaluations).raw_event.line == 2
    assert (lines.event_count, lines.line) == (2, 3)
    rest = list(evaluate(lines.rest(), detector, MAX_EVENT_BYTES))
    assert [(event.raw_event.line, event.raw_event.index) for event in rest] == [(4, 3)]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (TOO_LARGE, RejectionKind.TOO_LARGE),
        (b"{", RejectionKind.NOT_JSON),
        (b"NaN", RejectionKind.NOT_JSON),
        (b'{"x":"\xff"}', RejectionKind.NOT_UTF8),
        (b"[" * 200 + b"]" * 200, RejectionKind.TOO_DEEP),
        (b"", RejectionKind.EMPTY),
        (b"7", RejectionKind.NOT_AN_OBJECT),
        (b"{}", RejectionKind.UNKNOWN_FORMAT),
        (b'{"output_fields": 1}', RejectionKind.INCOMPLETE),
    ],
)
def test_a_rejected_event_has_the_kind_of_its_reason(
    detector: Detector, raw: bytes, kind: RejectionKind
) -> None:
    (rejected,) = evaluate([RawEvent(0, 1, raw)], detector, MAX_EVENT_BYTES)
    assert isinstance(rejected, RejectedEvent)
    assert rejected.kind is kind


def test_an_event_that_a_splitter_rejected_stays_rejected(detector: Detector) -> None:
    rejected = RejectedEvent(RawEvent(0, 1, MATCHING), "no action")
    assert list(evaluate([rejected], detector, MAX_EVENT_BYTES)) == [rejected]


@pytest.mark.parametrize("line", [b"1", QUIET])
def test_evaluation_stops_at_the_event_limit(detector: Detector, line: bytes) -> None:
    splitter = JsonSplitter(
        max_document_bytes=MAX_EVENT_BYTES, max_line_bytes=MAX_EVENT_BYTES, max_events=10
    )
    indexes: list[int] = []
    with pytest.raises(ContentTooLarge, match="more than 10 events"):
        indexes.extend(
            evaluation.raw_event.index
            for events in splitter.feed((line + b"\n") * 1_000)
            for evaluation in evaluate(events, detector, MAX_EVENT_BYTES)
        )
    assert indexes == (list(range(10)) if line == b"1" else [])


@pytest.mark.parametrize(
    "pair", [ACTION + b"\n1\n", ACTION + b"\n" + QUIET + b"\n", b"1\n", ACTION + b"\n"]
)
def test_bulk_stops_at_the_event_limit(detector: Detector, pair: bytes) -> None:
    splitter = BulkSplitter(
        index=None, max_event_bytes=MAX_EVENT_BYTES, max_line_bytes=MAX_EVENT_BYTES, max_events=10
    )
    evaluations: list[Evaluation] = []
    with pytest.raises(ContentTooLarge, match="more than 10 events"):
        evaluations.extend(
            evaluation
            for events in splitter.feed(pair * 1_000)
            for evaluation in evaluate(events, detector, MAX_EVENT_BYTES)
        )
    assert len(evaluations) <= 10


def test_different_actions_do_not_use_the_repeated_action_path() -> None:
    """A new iterator per event would make a body of different actions slower."""
    body = b"".join(b'{"create":{"_id":"%d"}}\n%s\n' % (number, QUIET) for number in range(20))
    splitter = BulkSplitter(
        index=None, max_event_bytes=MAX_EVENT_BYTES, max_line_bytes=MAX_EVENT_BYTES, max_events=100
    )
    assert not any(isinstance(events, EventLines) for events in splitter.feed(body))
    assert splitter.event_count == 20
