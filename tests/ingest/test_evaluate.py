"""Lines that are judged in the body itself become what they become one by one."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bootstrap import build_detector, load_configured_rules
from app.detection.detector import Detector
from app.ingest.bulk import BulkSplitter
from app.ingest.evaluate import Evaluation, evaluate
from app.ingest.events import ContentTooLarge, LineCursor, RawEvent
from app.ingest.split import LineSplitter
from tests.factories import benign_event, exec_event

MOST = 4_000
MATCHING = json.dumps(exec_event()).encode()
QUIET = json.dumps(benign_event()).encode()
ACTION = b'{"create":{}}'
# Refused where an event has to be read whole, and of no interest where no rule looks.
DEEP = QUIET.replace(b"{", b'{"note":' + b"[" * 150 + b"]" * 150 + b",", 1)
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
    MATCHING.replace(b"{", b'{"note":"' + b"x" * MOST + b'",', 1),
    QUIET + b" " * MOST,
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


def one_by_one(body: bytes, detector: Detector) -> tuple[list[Evaluation], int, int]:
    lines = LineCursor(body)
    evaluations = [one for item in lines for one in evaluate([item], detector, MOST)]
    return evaluations, lines.index, lines.line


def in_the_body(body: bytes, detector: Detector) -> tuple[list[Evaluation], int, int]:
    lines = LineCursor(body)
    return list(evaluate(lines, detector, MOST)), lines.index, lines.line


@given(st.lists(st.sampled_from(LINES), max_size=8), st.sampled_from([b"", b"\n"]))
def test_lines_are_evaluated_in_the_body_as_they_are_alone(
    detector: Detector, some: Sequence[bytes], end: bytes
) -> None:
    body = b"\n".join(some) + end
    assert in_the_body(body, detector) == one_by_one(body, detector)


def prefixed_lines(body: bytes) -> LineCursor:
    lines = LineCursor(body)
    lines.line_prefix, lines.excluded_prefixes = ACTION + b"\n", (b'{"create"',)
    return lines


@given(st.lists(st.sampled_from([*LINES, *[ACTION] * len(LINES)]), max_size=12))
def test_prefixed_lines_are_evaluated_as_they_are_alone(
    detector: Detector, some: Sequence[bytes]
) -> None:
    body = b"\n".join(some)
    alone, together = prefixed_lines(body), prefixed_lines(body)
    items = list[RawEvent](alone)
    assert list(evaluate(together, detector, MOST)) == list(evaluate(items, detector, MOST))
    assert (together.start, together.index, together.line) == (
        alone.start,
        alone.index,
        alone.line,
    )
    assert [item.line for item in items] == [2 * (n + 1) for n in range(len(items))]
    for item in items:
        assert some[item.line - 2] == ACTION
        assert some[item.line - 1].strip() == item.raw


def test_evaluation_stops_at_the_event_limit(detector: Detector) -> None:
    splitter = LineSplitter(max_line_bytes=MOST, max_events=10)
    told: list[int] = []
    with pytest.raises(ContentTooLarge, match="more than 10 events"):
        told.extend(
            one.raw_event.index
            for lines in splitter.feed(b"1\n" * 1_000)
            for one in evaluate(lines, detector, MOST)
        )
    assert told == list(range(10))


@pytest.mark.parametrize("pair", [ACTION + b"\n1\n", b"1\n", ACTION + b"\n"])
def test_bulk_stops_at_the_event_limit(detector: Detector, pair: bytes) -> None:
    splitter = BulkSplitter(index=None, max_event_bytes=MOST, max_line_bytes=MOST, max_events=10)
    blocks = splitter.feed(pair * 1_000)
    evaluations: list[Evaluation] = []
    with pytest.raises(ContentTooLarge, match="more than 10 events"):
        evaluations.extend(one for events in blocks for one in evaluate(events, detector, MOST))
    assert len(evaluations) <= 10
    assert len(splitter.take_rejected()) <= 11


def test_different_actions_do_not_use_the_repeated_action_path() -> None:
    """Each such look goes through the whole part."""
    body = b"".join(b'{"create":{"_id":"%d"}}\n%s\n' % (number, QUIET) for number in range(20))
    splitter = BulkSplitter(index=None, max_event_bytes=MOST, max_line_bytes=MOST, max_events=100)
    assert not any(isinstance(events, LineCursor) for events in splitter.feed(body))
    assert splitter.event_count == 20
