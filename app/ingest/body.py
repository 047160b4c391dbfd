"""Request bytes to the bytes of single events: encodings, limits, arrays and lines."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec

from app.domain.errors import DeckwatchError
from app.ingest.decompress import (
    DecompressionError,
    Decompressor,
    GzipDecompressor,
    IdentityDecompressor,
    ZstdStreamDecompressor,
)
from app.ingest.events import ContentTooLarge, LineCursor, RawEvent, too_many_events

UTF8_BOM = b"\xef\xbb\xbf"
# A body of the greatest size holds about as many of the smallest real events. Without this, 64 MiB of
# `1,1,1` become tens of millions of rejections, each of which takes hundreds of bytes.
MAX_EVENTS_PER_REQUEST = 100_000
# Between two commas real events have more bytes than this.
_MIN_BYTES_PER_COMMA = 16
# However many elements so many bytes hold, they are made in a moment.
_SMALL_BODY_BYTES = 1 << 20


class UnreadableBody(DeckwatchError):
    """400: no event can be found in these bytes."""


class UnsupportedEncoding(DeckwatchError):
    """415: a Content-Encoding other than identity, gzip and zstd."""


class BodyDecompressor:
    """A body without its Content-Encoding, part by part; raises UnsupportedEncoding.

    `feed` gives what a chunk of it becomes; raises UnreadableBody, as `end` does, or ContentTooLarge.
    """

    def __init__(self, encoding: str, max_bytes: int) -> None:
        try:
            self._decompressor = _DECOMPRESSORS[encoding.strip().lower()]()
        except KeyError:
            raise UnsupportedEncoding(
                f"Content-Encoding “{encoding}” is not read here; send identity, gzip or zstd."
            ) from None
        self.is_identity = isinstance(self._decompressor, IdentityDecompressor)
        self._max_bytes = max_bytes
        self.decompressed_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        try:
            for part in self._decompressor.feed(chunk):
                self.decompressed_bytes += len(part)
                if self.decompressed_bytes > self._max_bytes:
                    raise ContentTooLarge(
                        f"The body inflates to more than {self._max_bytes} bytes; "
                        "send fewer events a request."
                    )
                yield part
        except DecompressionError as error:
            raise UnreadableBody(f"The body {error}.") from None

    def end(self) -> None:
        try:
            self._decompressor.end()
        except DecompressionError as error:
            raise UnreadableBody(f"The body {error}.") from None


_DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    "": IdentityDecompressor,
    "identity": IdentityDecompressor,
    "gzip": GzipDecompressor,
    "x-gzip": GzipDecompressor,  # RFC 9110 section 8.4.1.3: the same
    "zstd": ZstdStreamDecompressor,
}


def split_body(body: bytes, max_events: int | None = None) -> list[RawEvent]:
    """The events of a body that is one JSON object, an array of them, or one a line (NDJSON).

    Nothing is checked but where events begin and end: a broken one comes out as an item, so that it
    can be named and kept, and its neighbours still count. Raises UnreadableBody for an empty body,
    ContentTooLarge for more than `most` events. Takes time in proportion to the body.
    """
    body = body.removeprefix(UTF8_BOM)
    start = len(body) - len(body.lstrip())
    if start == len(body):
        raise UnreadableBody("The body is empty; send a JSON object, an array, or one a line.")
    stop = None if max_events is None else max_events + 1
    is_array = body[start : start + 1] == b"["
    raw_events = list(
        islice(_split_array(body, start, max_events) if is_array else LineCursor(body), stop)
    )
    if not is_array and _is_one_pretty_printed_object(body, raw_events):
        return [RawEvent(0, raw_events[0].line, body.strip())]
    if max_events is not None and len(raw_events) > max_events:
        raise too_many_events(max_events)
    return raw_events


def _is_one_pretty_printed_object(body: bytes, raw_events: Sequence[RawEvent]) -> bool:
    """Whether it is one object over several lines, as a person or jq prints it."""
    return (
        len(raw_events) > 1
        and not is_json_value(raw_events[0].raw)
        and (
            is_json_value(body) or not any(is_json_value(raw_event.raw) for raw_event in raw_events)
        )
    )


def is_json_value(raw: bytes) -> bool:
    """Whether this is one JSON value."""
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _split_array(body: bytes, start: int, max_events: int | None) -> Iterator[RawEvent]:
    if max_events is not None and len(body) > _SMALL_BODY_BYTES:
        commas = body.count(b",")
        if commas > max_events and commas * _MIN_BYTES_PER_COMMA > len(body):
            # Might be millions of elements, which are better counted before they are all made.
            return _split_invalid_array(body, start)
    try:
        raws = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return _split_invalid_array(body, start)
    return _locate_elements(body, start, raws)


_ARRAY_SEPARATOR = re.compile(rb"[\s,]*+")


def _locate_elements(body: bytes, start: int, raws: Sequence[msgspec.Raw]) -> Iterator[RawEvent]:
    """Where each element lies: between two of them are only white space and a comma.

    Not by looking for each in the body, which would take several times as long as all the rest.
    """
    line = body.count(b"\n", 0, start) + 1
    counted = start
    begin = start + 1
    for index, found in enumerate(raws):
        raw = bytes(found)
        if body[begin] != raw[0] and (between := _ARRAY_SEPARATOR.match(body, begin)):
            begin = between.end()
        if body.find(b"\n", counted, begin) >= 0:
            line += body.count(b"\n", counted, begin)
        yield RawEvent(index, line, raw)
        counted = begin
        begin += len(raw) + 1  # the comma, or white space before it


# Outside strings only brackets and commas matter. An unclosed string runs to the end, also behind a
# last backslash: were it no token, the next quote in it would be tried, and the next (quadratic time).
_STRUCTURE_TOKEN = re.compile(
    rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)[^"\[\]{},]*+)++|[\[{]++|[\]}]++|,', re.DOTALL
)


def _split_invalid_array(body: bytes, start: int) -> Iterator[RawEvent]:
    """Cut an array that may not be valid as a whole."""
    line = 1
    counted = 0
    spans = _element_spans(body, start)
    places = (
        (begin + at, raw) for begin, end in spans for at, raw in _split_element(body[begin:end])
    )
    for index, (at, raw) in enumerate(places):
        line += body.count(b"\n", counted, at)
        counted = at
        yield RawEvent(index, line, raw)


def _element_spans(body: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Where the elements of the array begin and end, and at last what follows it, if anything.

    Where an array stops that is not closed, an element is missing: nobody knows what was cut off.
    """
    depth = 0
    begin = start + 1
    closed = False
    for token in _STRUCTURE_TOKEN.finditer(body, start):
        at = token.start()
        first = body[at]
        if first in b"[{":
            depth += token.end() - at
        elif first in b"]}":
            if depth <= token.end() - at:
                yield begin, at + depth - 1
                begin = at + depth
                closed = True
                break
            depth -= token.end() - at
        elif first == ord(",") and depth == 1:
            yield begin, at
            begin = token.end()
    if not closed or body[begin:].strip():
        yield begin, len(body)
    if not closed and is_json_value(body[begin:].strip()):
        # The last element is sound, and the end of the array, or what came before it, got lost.
        yield len(body), len(body)


_NONBLANK_LINE = re.compile(rb"\S[^\n]*")


def _split_element(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """An element with its place in `raw`; or its lines, when whole events are among them.

    Those were swallowed by a bracket that nobody closed, such as the first line of NDJSON cut short.
    """
    whole = raw.strip()
    if (
        b"\n" in whole
        and not is_json_value(whole)
        and any(map(_is_event_line, _NONBLANK_LINE.finditer(raw)))
    ):
        yield from ((found.start(), _line_bytes(found)) for found in _NONBLANK_LINE.finditer(raw))
    else:
        yield len(raw) - len(raw.lstrip()), whole


def _is_event_line(found: re.Match[bytes]) -> bool:
    line = _line_bytes(found)
    return line.startswith(b"{") and is_json_value(line)


def _line_bytes(found: re.Match[bytes]) -> bytes:
    return found.group().rstrip().removesuffix(b",")
