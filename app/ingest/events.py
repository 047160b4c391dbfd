"""Events that stand one a line in a body, and what an event is on its way."""

import re

import msgspec

from app.domain.errors import DeckwatchError


class ContentTooLarge(DeckwatchError):
    """413: more than the limit, as sent or once inflated."""


def too_many_events(max_events: int) -> ContentTooLarge:
    return ContentTooLarge(f"The body holds more than {max_events:,} events; send fewer a request.")


# A struct, since every event is one first, and making a data class takes four times as long.
class RawEvent(msgspec.Struct, gc=False):
    """One event's bytes: its place among the events (from 0) and the line it starts on (from 1)."""

    index: int
    line: int
    raw: bytes


class RejectedEvent(msgspec.Struct, frozen=True):
    """An event that is quarantined, and why."""

    raw_event: RawEvent
    reason: str


_NON_SPACE = re.compile(rb"\S")
_MAX_SPACE = 0x20  # No white space is beyond it.


class LineCursor:
    """One event a line, white space around it and empty lines apart: those of `body[start:stop]`.

    `index` and `line` are what the next line is counted as, `start` is where it begins. With `led_by`,
    a line with its end, they are only those events before which stands such a line, one after the
    other, as long as none begins with one of `unless`. At the index `end` there are more than `most`
    events: it raises ContentTooLarge.
    """

    __slots__ = (
        "body",
        "excluded_prefixes",
        "index",
        "is_ascii",
        "line",
        "line_prefix",
        "max_events",
        "max_index",
        "start",
        "stop",
    )

    def __init__(self, body: bytes, start: int = 0, stop: int | None = None) -> None:
        self.body = body
        self.start = start
        self.stop = len(body) if stop is None else stop
        self.index = 0
        self.line = 1
        self.line_prefix = b""
        self.excluded_prefixes: tuple[bytes, ...] = ()
        self.max_index: int | None = None
        self.max_events = 0
        self.is_ascii = body.isascii()

    def find_event_start(self, start: int) -> int:
        """Where the event begins that has `led_by` before it at `start`; -1 if there is none."""
        behind = start + len(self.line_prefix)
        if (
            behind < self.stop
            and self.body.startswith(self.line_prefix, start)
            and self.body[behind] > _MAX_SPACE
            and not self.body.startswith(self.excluded_prefixes, behind)
        ):
            return behind
        return -1

    def advance(self, lines: int, start: int) -> None:
        """So many were taken from the body itself; the next one begins at `start`."""
        self.start = start
        self.index += lines
        self.line += lines

    def __iter__(self) -> "LineCursor":
        return self

    def __next__(self) -> RawEvent:
        if self.line_prefix:
            start = self.find_event_start(self.start)
            if start < 0:
                raise StopIteration
            self.advance(1, start)
        body, start, stop = self.body, self.start, self.stop
        if start < stop and body[start] <= _MAX_SPACE:
            found = _NON_SPACE.search(body, start, stop)
            end = found.start() if found else stop
            self.line += body.count(b"\n", start, end)
            start = end
        if start >= stop:
            self.start = stop
            raise StopIteration
        if self.max_index is not None and self.index >= self.max_index:
            raise too_many_events(self.max_events)
        # To look for a line's end by itself is several times as quick as one pattern for all of it.
        end = body.find(b"\n", start, stop)
        if end < 0:
            end = stop
        raw = body[start:end]
        raw_event = RawEvent(self.index, self.line, raw.rstrip() if raw[-1] <= _MAX_SPACE else raw)
        self.advance(1, end + 1)
        return raw_event
