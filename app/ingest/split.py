"""Events of a body without end, block by block: the same ones that `cut` finds in the whole."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from app.ingest.body import UTF8_BOM, is_json_value, split_body
from app.ingest.events import ContentTooLarge, LineCursor, RawEvent, too_many_events

# Up to here it is looked again, with each part, whether the events are lines; from here on less and
# less often, so that all this looking takes time in proportion.
_RECHECK_ALWAYS_BELOW = 1 << 20
_FIRST_CHARACTER = re.compile(rb"(?:\xef\xbb\xbf)?\s*+(\S)")


# Events that stand together. Lines are cut as they are taken, and all of them have to be taken.
EventBlock: TypeAlias = Sequence[RawEvent] | LineCursor


def split_stream(
    parts: Iterable[bytes], *, max_document_bytes: int, max_event_bytes: int
) -> Iterator[EventBlock]:
    """The events of `parts`, as soon as it is certain where they begin and end; see JsonSplitter."""
    splitter = JsonSplitter(max_document_bytes=max_document_bytes, max_line_bytes=max_event_bytes)
    for part in parts:
        yield from splitter.feed(part)
    yield from splitter.end()


class LineSplitter:
    """Given part after part of a body of which each line is an event by whoever cannot wait for the next
    part. A line larger than `max_line_bytes` is cut down, to something that is still larger. Raises
    ContentTooLarge for more than `most` events.

    All of what `feed` and `end` give has to be taken; `found` counts it.
    """

    def __init__(self, *, max_line_bytes: int, max_events: int | None = None) -> None:
        self._max_line_bytes = max_line_bytes
        self._max_events = max_events
        # The line that is not whole.
        self._buffer: list[bytes] = []
        self.buffered_bytes = 0
        self.event_count = 0
        self._next_line_number = 1

    def feed(self, part: bytes) -> Iterator[LineCursor]:
        """The lines that end with this part."""
        first = part.find(b"\n") + 1
        if first:
            yield from self._finish_line(part[:first])
            last = part.rfind(b"\n") + 1
            yield from self._count_lines(LineCursor(part, first, last))
            part = part[last:]
        self._buffer.append(part)
        self.buffered_bytes += len(part)
        if self.buffered_bytes > self._max_line_bytes:
            self._buffer = [_truncate_line(b"".join(self._buffer), self._max_line_bytes)]
            self.buffered_bytes = len(self._buffer[0])

    def end(self) -> Iterator[LineCursor]:
        """The last line."""
        yield from self._finish_line(b"")

    def _finish_line(self, end: bytes) -> Iterator[LineCursor]:
        line = b"".join((*self._buffer, end))
        self._buffer, self.buffered_bytes = [], 0
        return self._count_lines(LineCursor(line))

    def _count_lines(self, lines: LineCursor) -> Iterator[LineCursor]:
        lines.index, lines.line = self.event_count, self._next_line_number
        if self._max_events is not None:
            lines.max_index = lines.max_events = self._max_events
        yield lines
        self.event_count, self._next_line_number = lines.index, lines.line
        if self._max_events is not None and self.event_count > self._max_events:
            raise too_many_events(self._max_events)


class JsonSplitter:
    """The same for a body of which it must be found out what it is.

    One event a line comes with its part. An array, or one object over several lines, has to be read
    whole: raises ContentTooLarge for more than `whole_limit` bytes of that.
    """

    def __init__(
        self, *, max_document_bytes: int, max_line_bytes: int, max_events: int | None = None
    ) -> None:
        self._max_document_bytes = max_document_bytes
        self._max_events = max_events
        self._line_splitter = LineSplitter(max_line_bytes=max_line_bytes, max_events=max_events)
        self._is_ndjson = False
        self._next_check_size = 0
        # All there was, until it is known that the events are lines.
        self._buffer: list[bytes] = []
        self._buffer_size = 0
        self._document_event_count = 0

    @property
    def buffered_bytes(self) -> int:
        """About how many bytes this keeps, or will take to go on."""
        return self._line_splitter.buffered_bytes + 2 * self._buffer_size

    @property
    def event_count(self) -> int:
        """How many events there were."""
        return self._line_splitter.event_count + self._document_event_count

    def feed(self, part: bytes) -> Iterator[EventBlock]:
        """The events that have become certain."""
        if self._is_ndjson:
            yield from self._line_splitter.feed(part)
            return
        self._buffer.append(part)
        self._buffer_size += len(part)
        if self._buffer_size >= self._next_check_size:
            head = self._join_buffer()
            if _is_certainly_ndjson(head):
                self._is_ndjson = True
                self._buffer, self._buffer_size = [], 0
                yield from self._line_splitter.feed(head.removeprefix(UTF8_BOM))
                return
            self._buffer = [head]
            if _starts_array(head):
                self._next_check_size = self._max_document_bytes + 1  # whatever may follow
            elif self._buffer_size > _RECHECK_ALWAYS_BELOW:
                self._next_check_size = self._buffer_size + self._buffer_size // 4
        if self._buffer_size > self._max_document_bytes:
            raise ContentTooLarge(
                _too_large_message(
                    self._join_buffer()[:_RECHECK_ALWAYS_BELOW], self._max_document_bytes
                )
            )

    def end(self) -> Iterator[EventBlock]:
        """The last events; raises UnreadableBody if there were none at all."""
        if self._is_ndjson:
            yield from self._line_splitter.end()
            return
        last = self._join_buffer()
        self._buffer, self._buffer_size = [], 0
        raw_events = split_body(last, self._max_events)
        self._document_event_count = len(raw_events)
        yield raw_events

    def take_rejected(self) -> tuple[()]:
        """None: what is broken shows when it is judged."""
        return ()

    def _join_buffer(self) -> bytes:
        return self._buffer[0] if len(self._buffer) == 1 else b"".join(self._buffer)


def _too_large_message(start: bytes, limit: int) -> str:
    if _starts_array(start):
        return f"an array of more than {limit:,} bytes; give its events one a line: jq -c '.[]'"
    return f"more than {limit:,} bytes, and neither one event a line nor a document read so far"


def _starts_array(head: bytes) -> bool:
    found = _FIRST_CHARACTER.match(head)
    return found is not None and found[1] == b"["


def _is_certainly_ndjson(head: bytes) -> bool:
    """Whether `cut` takes each line for an event, whatever may follow."""
    # Between two lines no value can be half read, so that what is wrong there stays wrong.
    whole_lines = head[: head.rfind(b"\n") + 1].removeprefix(UTF8_BOM)
    if _FIRST_CHARACTER.match(whole_lines) is None or _starts_array(whole_lines):
        return False
    raw_events = LineCursor(whole_lines)
    if is_json_value(next(raw_events).raw):
        return True
    return not _may_be_json_prefix(whole_lines) and any(
        is_json_value(raw_event.raw) for raw_event in raw_events
    )


def _may_be_json_prefix(whole_lines: bytes) -> bool:
    """Whether this is a JSON value, or the beginning of one."""
    try:
        msgspec.json.decode(whole_lines, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return "truncated" in str(error)
    except RecursionError:
        return False
    return True


def _truncate_line(line: bytes, max_bytes: int) -> bytes:
    """The line, or so much of it that it will stay too large if it is, white space around it apart."""
    line = line.lstrip()
    if len(line) <= max_bytes:
        return line
    return line[: max_bytes + 1] if len(line.rstrip()) <= max_bytes else line[:max_bytes] + b"."
