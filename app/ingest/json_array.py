"""Split a JSON array into its elements, also when the array or an element is invalid."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from app.ingest.events import RawEvent

# Real events have more bytes than this between two commas.
_MIN_BYTES_PER_COMMA = 16
# A body of this size has too few elements to need a limit before decoding.
_SMALL_BODY_BYTES = 1 << 20


def is_json_value(raw: bytes) -> bool:
    """Return whether `raw` is exactly one JSON value."""
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def split_array(body: bytes, start: int, max_events: int | None) -> Iterator[RawEvent]:
    """Return the elements of the array that begins at `start`; these may be more than `max_events`."""
    if max_events is not None and len(body) > _SMALL_BODY_BYTES:
        commas = body.count(b",")
        if commas > max_events and commas * _MIN_BYTES_PER_COMMA > len(body):
            # Decoding could create millions of elements at once; _split_invalid_array creates them one by
            # one.
            return _split_invalid_array(body, start)
    try:
        elements = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return _split_invalid_array(body, start)
    return _locate_elements(body, start, elements)


_ARRAY_SEPARATOR = re.compile(rb"[\s,]*+")


def _locate_elements(
    body: bytes, start: int, elements: Sequence[msgspec.Raw]
) -> Iterator[RawEvent]:
    """Find the line of each element of a valid array.

    Only white space and a comma stand between two elements, so their lengths give their positions.
    Searching the body for each element takes several times as long as everything else here.
    """
    line = body.count(b"\n", 0, start) + 1
    counted = start
    begin = start + 1
    for index, element in enumerate(elements):
        raw = bytes(element)
        if body[begin] != raw[0] and (separator := _ARRAY_SEPARATOR.match(body, begin)):
            begin = separator.end()
        if body.find(b"\n", counted, begin) >= 0:
            line += body.count(b"\n", counted, begin)
        yield RawEvent(index, line, raw)
        counted = begin
        begin += len(raw) + 1  # the comma, or white space before it


# Only brackets and commas outside strings matter. An unclosed string, even after a last backslash, is a
# token up to the end of the body: otherwise each later quote would be tried as a start (quadratic time).
_STRUCTURE_TOKEN = re.compile(
    rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)[^"\[\]{},]*+)++|[\[{]++|[\]}]++|,', re.DOTALL
)


def _split_invalid_array(body: bytes, start: int) -> Iterator[RawEvent]:
    line = 1
    counted = 0
    elements = (
        (begin + offset, raw)
        for begin, end in _element_spans(body, start)
        for offset, raw in _split_element(body[begin:end])
    )
    for index, (offset, raw) in enumerate(elements):
        line += body.count(b"\n", counted, offset)
        counted = offset
        yield RawEvent(index, line, raw)


def _element_spans(body: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each element, then of the text after the array, if any.

    If the array is not closed after a valid element, an empty span stands for the elements that were
    cut off, whose number is unknown.
    """
    depth = 0
    begin = start + 1
    closed = False
    for token in _STRUCTURE_TOKEN.finditer(body, start):
        offset = token.start()
        first = body[offset]
        if first in b"[{":
            depth += token.end() - offset
        elif first in b"]}":
            if depth <= token.end() - offset:
                yield begin, offset + depth - 1
                begin = offset + depth
                closed = True
                break
            depth -= token.end() - offset
        elif first == ord(",") and depth == 1:
            yield begin, offset
            begin = token.end()
    if not closed or body[begin:].strip():
        yield begin, len(body)
    if not closed and is_json_value(body[begin:].strip()):
        yield len(body), len(body)


_NONBLANK_LINE = re.compile(rb"\S[^\n]*")


def _split_element(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the element and its offset in `raw`, or its lines if some of them are whole events.

    After an unclosed bracket, such as in the truncated first line of NDJSON, all following lines belong to
    one element.
    """
    element = raw.strip()
    if (
        b"\n" in element
        and not is_json_value(element)
        and any(map(_is_event_line, _NONBLANK_LINE.finditer(raw)))
    ):
        for line in _NONBLANK_LINE.finditer(raw):
            yield line.start(), _line_bytes(line)
    else:
        yield len(raw) - len(raw.lstrip()), element


def _is_event_line(line: re.Match[bytes]) -> bool:
    raw = _line_bytes(line)
    return raw.startswith(b"{") and is_json_value(raw)


def _line_bytes(line: re.Match[bytes]) -> bytes:
    return line.group().rstrip().removesuffix(b",")
