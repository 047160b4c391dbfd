"""Request bytes to the bytes of single events: encodings, limits, arrays and lines."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec

from app.domain.errors import DeckwatchError
from app.ingest.inflate import Damaged, Gunzip, Inflater, Plain, Unzstd
from app.ingest.lines import Item, Lines, TooLarge, too_many

UTF8_BOM = b"\xef\xbb\xbf"
# A body of the greatest size holds about as many of the smallest real events. Without this, 64 MiB of
# `1,1,1` become tens of millions of rejections, each of which takes hundreds of bytes.
EVENTS_LIMIT = 100_000
# Between two commas real events have more bytes than this.
_DENSE = 16
# However many elements so many bytes hold, they are made in a moment.
_SMALL = 1 << 20


class UnreadableBody(DeckwatchError):
    """400: no event can be found in these bytes."""


class UnknownEncoding(DeckwatchError):
    """415: a Content-Encoding other than identity, gzip and zstd."""


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its Content-Encoding; raises UnknownEncoding, UnreadableBody or TooLarge."""
    inflated = Inflated(encoding, limit)
    whole = b"".join(inflated.feed(body))
    inflated.end()
    return whole


class Inflated:
    """A body without its Content-Encoding, part by part; raises UnknownEncoding.

    `feed` gives what a chunk of it becomes; raises UnreadableBody, as `end` does, or TooLarge.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        try:
            self._inflater = _ENCODINGS[encoding.strip().lower()]()
        except KeyError:
            raise UnknownEncoding(
                f"Content-Encoding “{encoding}” is not read here; send identity, gzip or zstd."
            ) from None
        self.is_plain = isinstance(self._inflater, Plain)
        self._limit = limit
        self.size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        try:
            for part in self._inflater.feed(chunk):
                self.size += len(part)
                if self.size > self._limit:
                    raise TooLarge(
                        f"The body inflates to more than {self._limit} bytes; "
                        "send fewer events a request."
                    )
                yield part
        except Damaged as error:
            raise UnreadableBody(f"The body {error}.") from None

    def end(self) -> None:
        try:
            self._inflater.end()
        except Damaged as error:
            raise UnreadableBody(f"The body {error}.") from None


_ENCODINGS: dict[str, Callable[[], Inflater]] = {
    "": Plain,
    "identity": Plain,
    "gzip": Gunzip,
    "x-gzip": Gunzip,  # RFC 9110 section 8.4.1.3: the same
    "zstd": Unzstd,
}


def cut(body: bytes, most: int | None = None) -> list[Item]:
    """The events of a body that is one JSON object, an array of them, or one a line (NDJSON).

    Nothing is checked but where events begin and end: a broken one comes out as an item, so that it
    can be named and kept, and its neighbours still count. Raises UnreadableBody for an empty body,
    TooLarge for more than `most` events. Takes time in proportion to the body.
    """
    body = body.removeprefix(UTF8_BOM)
    start = len(body) - len(body.lstrip())
    if start == len(body):
        raise UnreadableBody("The body is empty; send a JSON object, an array, or one a line.")
    beyond = None if most is None else most + 1
    is_array = body[start : start + 1] == b"["
    items = list(islice(_array(body, start, most) if is_array else Lines(body), beyond))
    if not is_array and _is_one_printed(body, items):
        return [Item(0, items[0].line, body.strip())]
    if most is not None and len(items) > most:
        raise too_many(most)
    return items


def _is_one_printed(body: bytes, items: Sequence[Item]) -> bool:
    """Whether it is one object over several lines, as a person or jq prints it."""
    return (
        len(items) > 1
        and not is_complete(items[0].raw)
        and (is_complete(body) or not any(is_complete(item.raw) for item in items))
    )


def is_complete(raw: bytes) -> bool:
    """Whether this is one JSON value."""
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _array(body: bytes, start: int, most: int | None) -> Iterator[Item]:
    if most is not None and len(body) > _SMALL:
        commas = body.count(b",")
        if commas > most and commas * _DENSE > len(body):
            # Might be millions of elements, which are better counted before they are all made.
            return _cut_array(body, start)
    try:
        raws = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return _cut_array(body, start)
    return _placed(body, start, raws)


_BETWEEN = re.compile(rb"[\s,]*+")


def _placed(body: bytes, start: int, raws: Sequence[msgspec.Raw]) -> Iterator[Item]:
    """Where each element lies: between two of them are only white space and a comma.

    Not by looking for each in the body, which would take several times as long as all the rest.
    """
    line = body.count(b"\n", 0, start) + 1
    counted = start
    begin = start + 1
    for index, found in enumerate(raws):
        raw = bytes(found)
        if body[begin] != raw[0] and (between := _BETWEEN.match(body, begin)):
            begin = between.end()
        if body.find(b"\n", counted, begin) >= 0:
            line += body.count(b"\n", counted, begin)
        yield Item(index, line, raw)
        counted = begin
        begin += len(raw) + 1  # the comma, or white space before it


# Outside strings only brackets and commas matter. An unclosed string runs to the end, also behind a
# last backslash: were it no token, the next quote in it would be tried, and the next (quadratic time).
_TOKEN = re.compile(
    rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)[^"\[\]{},]*+)++|[\[{]++|[\]}]++|,', re.DOTALL
)


def _cut_array(body: bytes, start: int) -> Iterator[Item]:
    """Cut an array that may not be valid as a whole."""
    line = 1
    counted = 0
    spans = _elements(body, start)
    places = ((begin + at, raw) for begin, end in spans for at, raw in _apart(body[begin:end]))
    for index, (at, raw) in enumerate(places):
        line += body.count(b"\n", counted, at)
        counted = at
        yield Item(index, line, raw)


def _elements(body: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Where the elements of the array begin and end, and at last what follows it, if anything.

    Where an array stops that is not closed, an element is missing: nobody knows what was cut off.
    """
    depth = 0
    begin = start + 1
    closed = False
    for token in _TOKEN.finditer(body, start):
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
    if not closed and is_complete(body[begin:].strip()):
        # The last element is sound, and the end of the array, or what came before it, got lost.
        yield len(body), len(body)


_LINE = re.compile(rb"\S[^\n]*")


def _apart(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """An element with its place in `raw`; or its lines, when whole events are among them.

    Those were swallowed by a bracket that nobody closed, such as the first line of NDJSON cut short.
    """
    whole = raw.strip()
    if b"\n" in whole and not is_complete(whole) and any(map(_is_event_line, _LINE.finditer(raw))):
        yield from ((found.start(), _line_of(found)) for found in _LINE.finditer(raw))
    else:
        yield len(raw) - len(raw.lstrip()), whole


def _is_event_line(found: re.Match[bytes]) -> bool:
    line = _line_of(found)
    return line.startswith(b"{") and is_complete(line)


def _line_of(found: re.Match[bytes]) -> bytes:
    return found.group().rstrip().removesuffix(b",")
