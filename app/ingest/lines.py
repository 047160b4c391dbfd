"""Events that stand one a line in a body, and what an event is on its way."""

import re

import msgspec

from app.domain.errors import DeckwatchError


class TooLarge(DeckwatchError):
    """413: more than the limit, as sent or once inflated."""


def too_many(most: int) -> TooLarge:
    return TooLarge(f"The body holds more than {most:,} events; send fewer a request.")


# A struct, since every event is one first, and making a data class takes four times as long.
class Item(msgspec.Struct, gc=False):
    """One event's bytes: its place among the events (from 0) and the line it starts on (from 1)."""

    index: int
    line: int
    raw: bytes


_START = re.compile(rb"\S")
_SPACE = 0x20  # No white space is beyond it.


class Lines:
    """One event a line, white space around it and empty lines apart: those of `body[start:stop]`.

    `index` and `line` are what the next line is counted as, `start` is where it begins. With `led_by`,
    a line with its end, they are only those events before which stands such a line, one after the
    other, as long as none begins with one of `unless`. At the index `end` there are more than `most`
    events: it raises TooLarge.
    """

    __slots__ = (
        "body",
        "end",
        "index",
        "is_ascii",
        "led_by",
        "line",
        "most",
        "start",
        "stop",
        "unless",
    )

    def __init__(self, body: bytes, start: int = 0, stop: int | None = None) -> None:
        self.body = body
        self.start = start
        self.stop = len(body) if stop is None else stop
        self.index = 0
        self.line = 1
        self.led_by = b""
        self.unless: tuple[bytes, ...] = ()
        self.end: int | None = None
        self.most = 0
        self.is_ascii = body.isascii()

    def led(self, start: int) -> int:
        """Where the event begins that has `led_by` before it at `start`; -1 if there is none."""
        behind = start + len(self.led_by)
        if (
            behind < self.stop
            and self.body.startswith(self.led_by, start)
            and self.body[behind] > _SPACE
            and not self.body.startswith(self.unless, behind)
        ):
            return behind
        return -1

    def skip(self, lines: int, start: int) -> None:
        """So many were taken from the body itself; the next one begins at `start`."""
        self.start = start
        self.index += lines
        self.line += lines

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> Item:
        if self.led_by:
            start = self.led(self.start)
            if start < 0:
                raise StopIteration
            self.skip(1, start)
        body, start, stop = self.body, self.start, self.stop
        if start < stop and body[start] <= _SPACE:
            found = _START.search(body, start, stop)
            end = found.start() if found else stop
            self.line += body.count(b"\n", start, end)
            start = end
        if start >= stop:
            self.start = stop
            raise StopIteration
        if self.end is not None and self.index >= self.end:
            raise too_many(self.most)
        # To look for a line's end by itself is several times as quick as one pattern for all of it.
        end = body.find(b"\n", start, stop)
        if end < 0:
            end = stop
        raw = body[start:end]
        item = Item(self.index, self.line, raw.rstrip() if raw[-1] <= _SPACE else raw)
        self.skip(1, end + 1)
        return item
