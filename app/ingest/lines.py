"""Split a body into blocks of whole lines, and iterate over the events of a block, one per line."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import msgspec

from app.ingest.events import RawEvent, RejectedEvent, too_many_events

UTF8_BOM = b"\xef\xbb\xbf"

_NON_SPACE = re.compile(rb"\S")
# The largest byte that the regular expression class \s and bytes.strip() treat as white space.
_MAX_SPACE = 0x20

T = TypeVar("T")


class LineBlock(msgspec.Struct, frozen=True, gc=False):
    """Complete lines of a body: the bytes `data[start:stop]`. Offsets avoid a copy of the bytes."""

    data: bytes
    start: int
    stop: int
    is_ascii: bool


def line_block(data: bytes, start: int = 0, stop: int | None = None) -> LineBlock:
    return LineBlock(data, start, len(data) if stop is None else stop, data.isascii())


class LineBuffer:
    """Splits the parts of a body into blocks of whole lines, and buffers an incomplete line.

    To save memory, the buffer keeps at most `max_line_bytes + 1` bytes of a line. A line that is too large is
    still too large after this cut, so the line is rejected later.
    """

    def __init__(self, *, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._incomplete_line: list[bytes] = []
        self.buffered_bytes = 0

    def feed(self, part: bytes) -> Iterator[LineBlock]:
        """Yield blocks of the lines that end in `part`."""
        first_end = part.find(b"\n") + 1
        if first_end:
            yield self._take_buffer(part[:first_end])
            last_end = part.rfind(b"\n") + 1
            yield line_block(part, first_end, last_end)
            part = part[last_end:]
        self._incomplete_line.append(part)
        self.buffered_bytes += len(part)
        if self.buffered_bytes > self._max_line_bytes:
            line = _truncate_line(b"".join(self._incomplete_line), self._max_line_bytes)
            self._incomplete_line = [line]
            self.buffered_bytes = len(line)

    def end(self) -> Iterator[LineBlock]:
        """Yield the text after the last newline, which may be empty."""
        yield self._take_buffer(b"")

    def _take_buffer(self, end: bytes) -> LineBlock:
        line = b"".join((*self._incomplete_line, end))
        self._incomplete_line, self.buffered_bytes = [], 0
        return line_block(line)


def _truncate_line(line: bytes, max_bytes: int) -> bytes:
    """Strip leading white space from `line`, and cut the line to at most `max_bytes + 1` bytes.

    A line is too large if it has more than `max_bytes` bytes. White space at the start and at the end of the
    line is not counted. The function handles three cases after it has stripped the leading white space:

    - The line has at most `max_bytes` bytes. The function does not cut the line.
    - The line is too large. The function cuts the line and appends `.`, so the result is also too large.
    - The line has more than `max_bytes` bytes only because white space follows the text. The function cuts
      within this white space. The result is not too large. If the caller appends more text, the white space
      is no longer at the end. It is then counted, so the line becomes too large.
    """
    line = line.lstrip()
    if len(line) <= max_bytes:
        return line
    return line[: max_bytes + 1] if len(line.rstrip()) <= max_bytes else line[:max_bytes] + b"."


class EventLines:
    """Iterator over the events in a block, one per line; skips blank lines and strips white space.

    Three attributes describe the next line. `offset` is the position of the next line in `block.data`. `line`
    is the number of the next line in the body. `index` is the number of lines before the next line; blank
    lines are not counted. Only iteration and `select` change these attributes. `rest` returns a new iterator
    that starts at the next line.

    If `prefix` is given, the lines form pairs, as in a bulk body. The first line of a pair is `prefix`, which
    includes the newline. The second line is an event. The iterator ends before the first pair for which one
    of these conditions holds:

    - The pair does not begin with `prefix`.
    - The event begins with white space.
    - The event begins with one of `excluded_prefixes`.

    `events_before` is the number of earlier events of the body. Raises ContentTooLarge if `events_before`
    plus the number of events of this iterator exceeds `max_events`.
    """

    __slots__ = (
        "_block",
        "_events_before",
        "_excluded_prefixes",
        "_max_events",
        "_prefix",
        "event_count",
        "index",
        "line",
        "offset",
    )

    def __init__(
        self,
        block: LineBlock,
        *,
        offset: int | None = None,
        index: int = 0,
        line: int = 1,
        prefix: bytes = b"",
        excluded_prefixes: tuple[bytes, ...] = (),
        events_before: int = 0,
        max_events: int | None = None,
    ) -> None:
        self._block = block
        self._prefix = prefix
        self._excluded_prefixes = excluded_prefixes
        self._events_before = events_before
        self._max_events = max_events
        self.offset = block.start if offset is None else offset
        self.index = index
        self.line = line
        self.event_count = 0

    @property
    def is_ascii(self) -> bool:
        return self._block.is_ascii

    def rest(
        self,
        *,
        prefix: bytes = b"",
        excluded_prefixes: tuple[bytes, ...] = (),
        events_before: int = 0,
        max_events: int | None = None,
    ) -> "EventLines":
        """Return a new iterator over the lines that this iterator has not read yet."""
        return EventLines(
            self._block,
            offset=self.offset,
            index=self.index,
            line=self.line,
            prefix=prefix,
            excluded_prefixes=excluded_prefixes,
            events_before=events_before,
            max_events=max_events,
        )

    def starts_with(self, line: bytes) -> bool:
        """Return whether the next line starts with `line`."""
        return self._block.data.startswith(line, self.offset, self._block.stop)

    def select(
        self, match: Callable[[bytes], T | None], max_event_bytes: int
    ) -> Iterator[tuple[RawEvent, T | None]]:
        """Yield (event, result of `match`) for each remaining event, but skip events with an empty result.

        An empty result, such as `()`, means that the event does not match. The result None means that the
        event is not decided yet, so the event is yielded. There are two cases:

        - `match` returns None, because it cannot decide about the event.
        - The event is larger than `max_event_bytes`. `match` is not called for this event.

        Nearly all events have an empty result. To save time, `match` first gets the line with its white
        space. If the result is empty, no RawEvent is created. Otherwise the white space is stripped. If this
        changes the line, `match` is called again with the stripped event.
        """
        data, stop = self._block.data, self._block.stop
        has_prefix = bool(self._prefix)
        offset = self.offset
        skipped = 0
        try:
            while offset < stop:
                start = self._event_start(offset) if has_prefix else offset
                if start < 0:
                    break
                end = data.find(b"\n", start, stop)
                if end < 0:
                    end = stop
                result = match(data[start:end]) if end - start <= max_event_bytes else None
                if not result and result is not None:
                    skipped += 1
                    offset = end + 1
                    continue
                self._advance(skipped, offset)
                skipped = 0
                event = next(self, None)
                offset = self.offset
                if event is None:
                    break
                if offset != end + 1 or len(event.raw) != end - start:
                    # White space was stripped or a blank line was skipped, so `event.raw` is not the text
                    # that was matched above. It must be matched again.
                    result = match(event.raw) if len(event.raw) <= max_event_bytes else None
                if result or result is None:
                    yield event, result
        finally:
            self._advance(skipped, offset)
        if self._max_events is not None:
            self._check_event_count(self._max_events)

    def __iter__(self) -> "EventLines":
        return self

    def __next__(self) -> RawEvent:
        data, start, stop = self._block.data, self.offset, self._block.stop
        index, line = self.index, self.line
        if self._prefix:
            start = self._event_start(start)
            if start < 0:
                raise StopIteration
            index += 1
            line += 1
        elif start < stop and data[start] <= _MAX_SPACE:
            non_space = _NON_SPACE.search(data, start, stop)
            event_start = non_space.start() if non_space else stop
            line += data.count(b"\n", start, event_start)
            start = event_start
        if start >= stop:
            self.offset, self.line = stop, line
            raise StopIteration
        if self._max_events is not None:
            self._check_event_count(self._max_events, 1)
        # `find` is several times faster than a regular expression that matches the whole line.
        end = data.find(b"\n", start, stop)
        if end < 0:
            end = stop
        self.offset, self.index, self.line = end + 1, index + 1, line + 1
        self.event_count += 1
        raw = data[start:end]
        return RawEvent(index, line, raw.rstrip() if raw[-1] <= _MAX_SPACE else raw)

    def _event_start(self, offset: int) -> int:
        """Return the offset of the event after the prefix at `offset`.

        Return -1 if the iterator must end here; the docstring of EventLines describes the conditions.
        """
        data = self._block.data
        start = offset + len(self._prefix)
        if (
            start < self._block.stop
            and data.startswith(self._prefix, offset)
            and data[start] > _MAX_SPACE
            and not data.startswith(self._excluded_prefixes, start)
        ):
            return start
        return -1

    def _advance(self, events: int, offset: int) -> None:
        lines = 2 * events if self._prefix else events
        self.offset = offset
        self.index += lines
        self.line += lines
        self.event_count += events

    def _check_event_count(self, max_events: int, more: int = 0) -> None:
        if self._events_before + self.event_count + more > max_events:
            raise too_many_events(max_events)


# Consecutive events of a body, including events that the splitter has rejected.
EventBlock: TypeAlias = EventLines | Sequence[RawEvent | RejectedEvent]
