"""Splitting a body that arrives in parts: same events as for the whole body, as early as possible."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.events import ContentTooLarge, RawEvent, UnreadableBody
from app.ingest.split import split_body, split_stream

MAX_LINE_BYTES = 1_000


def from_parts(
    parts: Sequence[bytes], *, max_document_bytes: int = 100_000
) -> list[RawEvent] | None:
    """Split the parts; None for a body without events."""
    blocks = split_stream(
        iter(parts), max_document_bytes=max_document_bytes, max_event_bytes=MAX_LINE_BYTES
    )
    try:
        return [event for events in blocks for event in events]
    except UnreadableBody:
        return None


def from_whole(body: bytes) -> list[RawEvent] | None:
    try:
        return split_body(body)
    except UnreadableBody:
        return None


PRINTED = b'{\n  "args": [\n    "ssh",\n    "-v"\n  ]\n}\n'
FRAGMENTS = (
    b"\n",
    b"\r\n",
    b" ",
    b"\x0b\x0c",
    b"\xef\xbb\xbf",
    b'{"a":1}',
    b"{",
    b"}",
    b'"a":',
    b'"x"',
    b"[",
    b"]",
    b",",
    b"1",
    b"tru",
    b"e",
    b'"',
    b"\\",
    b"\xff",
    b"\0",
    PRINTED,
)
BODIES: dict[str, bytes] = {
    "lines": b'{"a":1}\n{"a":2}\n{"a":3}',
    "lines with empty ones between": b'\n\r\n{"a":1}\r\n \n\n{"a":2}\n\n',
    "a byte order mark at the start and on a line": b'\xef\xbb\xbf{"a":1}\n\xef\xbb\xbf{"a":2}\n',
    "a truncated first line": b'{"a":{"b":1\n{"a":2}\n{"a":3}\n',
    "a truncated first line that may continue": b'{"a":\n{"a":2}\n{"a":3}\n',
    "invalid lines at the end": b'{"a":1}\n{"a":2\n[1\n',
    "only invalid lines": b'{"a":1\n{"a":2\n{"a":3\n',
    "one object over several lines": PRINTED,
    "two objects over several lines": PRINTED + PRINTED,
    "an array": b'[{"a":1},\n{"a":2},\n\n{"a":3}]',
    "an array over several lines without an end": b'[{"a":1},\n{"a":2},\n{"a":3}\n',
    "an array on the second line": b'{"a":1}\n[{"a":2},{"a":3}]\n',
    "only white space": b" \n\r\n\t",
    "nothing": b"",
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_chunks_yield_the_same_events_as_the_whole_body(body: bytes, size: int) -> None:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    assert from_parts(parts) == from_whole(body)


@given(st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=6).map(b"".join), max_size=6))
def test_random_chunks_yield_the_same_events_as_the_whole_body(parts: list[bytes]) -> None:
    assert from_parts(parts) == from_whole(b"".join(parts))


ENDLESS: dict[str, tuple[bytes, ...]] = {
    "the first line": (b'{"a":1}\n',),
    "a line in two parts": (b'{"a"', b":1}\n"),
    "the second line, after a truncated one": (b'{"a":1\n', b'{"a":2}\n'),
    "the second line, after one that may continue": (b'{"a":\n', b'{"a":2}\n', b'{"a":3}\n'),
}


@pytest.mark.parametrize("parts", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_complete_line_is_yielded_at_once(parts: tuple[bytes, ...]) -> None:
    def endless() -> Iterator[bytes]:
        yield from parts
        raise AssertionError("read another part before it yielded the complete lines")

    blocks = split_stream(endless(), max_document_bytes=100_000, max_event_bytes=MAX_LINE_BYTES)
    expected = split_body(b"".join(parts))
    events = islice(chain.from_iterable(blocks), len(expected))
    assert list(events) == expected


LONG: dict[str, tuple[bytes, bool]] = {
    "at the limit": (b"x" * MAX_LINE_BYTES, False),
    "one byte over the limit": (b"x" * (MAX_LINE_BYTES + 1), True),
    "far over the limit": (b"x" * 50_000, True),
    "white space before it": (b" " * 50_000 + b"x" * MAX_LINE_BYTES, False),
    "white space after it": (b"x" * MAX_LINE_BYTES + b" " * 50_000, False),
    "white space in it": (b"x" + b" " * 50_000 + b"x", True),
}


@pytest.mark.parametrize("size", [1, 300, 100_000])
@pytest.mark.parametrize(("line", "too_large"), LONG.values(), ids=LONG.keys())
def test_a_line_over_the_limit_is_truncated_and_stays_too_large(
    line: bytes, too_large: bool, size: int
) -> None:
    rest = line + b'\n{"a":2}\n'
    parts = [b'{"a":1}\n', *(rest[start : start + size] for start in range(0, len(rest), size))]
    first, second, third = from_parts(parts) or []
    assert (first.raw, third.raw, third.line) == (b'{"a":1}', b'{"a":2}', 3)
    assert (len(second.raw) > MAX_LINE_BYTES) is too_large
    assert size > MAX_LINE_BYTES or len(second.raw) <= MAX_LINE_BYTES + 1 + size
    if not too_large:
        assert second.raw == line.strip()


@pytest.mark.parametrize(
    ("part", "message"),
    [(b"[" + b"1," * 500, "an array of more than 2,000 bytes"), (b"{" * 500, "2,000 bytes")],
)
def test_a_body_that_must_be_buffered_has_a_size_limit(part: bytes, message: str) -> None:
    with pytest.raises(ContentTooLarge, match=message):
        from_parts([part] * 10, max_document_bytes=2_000)
