"""Lines that are judged in the body itself become what they become one by one."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.detection.detector import Detector
from app.ingest.blocks import LineCutter
from app.ingest.bulk import BulkCutter
from app.ingest.judging import Judged, judge
from app.ingest.lines import Item, Lines, TooLarge
from app.main import detector_of, rules_of
from tests.factories import exec_event, quiet_event

MOST = 4_000
MATCHING = json.dumps(exec_event()).encode()
QUIET = json.dumps(quiet_event()).encode()
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
    return detector_of(rules_of([]).rules)


def one_by_one(body: bytes, detector: Detector) -> tuple[list[Judged], int, int]:
    lines = Lines(body)
    judged = [one for item in lines for one in judge([item], detector, MOST)]
    return judged, lines.index, lines.line


def in_the_body(body: bytes, detector: Detector) -> tuple[list[Judged], int, int]:
    lines = Lines(body)
    return list(judge(lines, detector, MOST)), lines.index, lines.line


@given(st.lists(st.sampled_from(LINES), max_size=8), st.sampled_from([b"", b"\n"]))
def test_lines_in_their_body_are_judged_as_they_are_alone(
    detector: Detector, some: Sequence[bytes], end: bytes
) -> None:
    body = b"\n".join(some) + end
    assert in_the_body(body, detector) == one_by_one(body, detector)


def led(body: bytes) -> Lines:
    lines = Lines(body)
    lines.led_by, lines.unless = ACTION + b"\n", (b'{"create"',)
    return lines


@given(st.lists(st.sampled_from([*LINES, *[ACTION] * len(LINES)]), max_size=12))
def test_lines_behind_others_that_are_alike_are_judged_as_they_are_alone(
    detector: Detector, some: Sequence[bytes]
) -> None:
    body = b"\n".join(some)
    alone, together = led(body), led(body)
    items = list[Item](alone)
    assert list(judge(together, detector, MOST)) == list(judge(items, detector, MOST))
    assert (together.start, together.index, together.line) == (
        alone.start,
        alone.index,
        alone.line,
    )
    assert [item.line for item in items] == [2 * (n + 1) for n in range(len(items))]
    for item in items:
        assert some[item.line - 2] == ACTION
        assert some[item.line - 1].strip() == item.raw


def test_no_more_events_are_judged_than_a_body_may_have(detector: Detector) -> None:
    cutter = LineCutter(max_line_bytes=MOST, most=10)
    told: list[int] = []
    with pytest.raises(TooLarge, match="more than 10 events"):
        told.extend(
            one.item.index
            for lines in cutter.feed(b"1\n" * 1_000)
            for one in judge(lines, detector, MOST)
        )
    assert told == list(range(10))


@pytest.mark.parametrize("pair", [ACTION + b"\n1\n", b"1\n", ACTION + b"\n"])
def test_no_more_actions_are_taken_than_a_body_may_have(detector: Detector, pair: bytes) -> None:
    cutter = BulkCutter(index=None, max_event_bytes=MOST, max_line_bytes=MOST, most=10)
    blocks = cutter.feed(pair * 1_000)
    judged: list[Judged] = []
    with pytest.raises(TooLarge, match="more than 10 events"):
        judged.extend(one for events in blocks for one in judge(events, detector, MOST))
    assert len(judged) <= 10
    assert len(cutter.refused()) <= 11


def test_actions_that_differ_are_not_looked_at_as_if_they_were_alike() -> None:
    """Each such look goes through the whole part."""
    body = b"".join(b'{"create":{"_id":"%d"}}\n%s\n' % (number, QUIET) for number in range(20))
    cutter = BulkCutter(index=None, max_event_bytes=MOST, max_line_bytes=MOST, most=100)
    assert not any(isinstance(events, Lines) for events in cutter.feed(body))
    assert cutter.found == 20
