"""Split a JSON array into its elements, even if the array or an element is not valid JSON."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from app.ingest.events import RawEvent

# A body of real events has on average more bytes per comma than this number. A body such as `[1,1,1]` has
# fewer bytes per comma.
_MIN_BYTES_PER_COMMA = 16
# If a body is not larger than this, `split_array` does not count the commas in the body. Such a body is too
# small to contain millions of elements.
_SMALL_BODY_BYTES = 1 << 20


def is_json_value(raw: bytes) -> bool:
    """Return whether `raw` is exactly one JSON value."""
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def split_array(body: bytes, start: int, max_events: int | None) -> Iterator[RawEvent]:
    """Return the elements of the array that begins at offset `start` of `body`.

    The caller must check that the array has at most `max_events` elements. This function does not check the
    number. If the array seems to have more elements than `max_events`, it creates them one by one, which
    needs less memory than all elements at once.
    """
    if max_events is not None and len(body) > _SMALL_BODY_BYTES:
        commas = body.count(b",")
        if commas > max_events and commas * _MIN_BYTES_PER_COMMA > len(body):
            # Decoding would create all elements at once, possibly millions. _split_invalid_array creates them
            # one by one, so that the caller can stop after `max_events`.
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
    """Yield each element of a valid array with its index and line number.

    Only a comma and white space separate two elements, so the position of an element follows from the lengths
    of the elements before it. To search the body for each element would take several times as long as the
    rest of this function.
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
        begin += len(raw) + 1  # `+ 1` skips the byte after the element, for example a comma.


# The tokens are strings, brackets and commas. A bracket or comma within a string is part of the string token.
# An unclosed string is one token up to the end of the body, even if the last byte is a backslash. Otherwise
# the search would try each later quote as the start of a string, which takes quadratic time.
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
    """Yield the (start, end) offsets of each element.

    If text follows the array, the offsets of this text are yielded last, as if the text were an element.

    The array may be truncated after a valid element, as in `[{"a": 1}`. This function then yields an empty
    element at the end. The empty element is rejected later, so the user learns that the array is truncated.
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
    """Yield (offset in `raw`, bytes) for the whole element or for each line of the element.

    An element that is valid JSON is yielded as a whole. An invalid element is split into lines if at least
    one of the lines is a complete event.

    For example, an array has one event per line, and one line is truncated. The truncated line has an
    unclosed bracket, so all following lines become part of the same element. The split into lines recovers
    the complete events on these lines.
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
