"""Events of a body without end, block by block: the same ones that `cut` finds in the whole."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from app.ingest.body import UTF8_BOM, cut, is_complete
from app.ingest.lines import Item, Lines, TooLarge, too_many

# Up to here it is looked again, with each part, whether the events are lines; from here on less and
# less often, so that all this looking takes time in proportion.
_LOOKED_AT_EACH_TIME = 1 << 20
_FIRST = re.compile(rb"(?:\xef\xbb\xbf)?\s*+(\S)")


# Events that stand together. Lines are cut as they are taken, and all of them have to be taken.
Events: TypeAlias = Sequence[Item] | Lines


def cut_blocks(
    parts: Iterable[bytes], *, whole_limit: int, max_event_bytes: int
) -> Iterator[Events]:
    """The events of `parts`, as soon as it is certain where they begin and end; see Cutter."""
    cutter = Cutter(whole_limit=whole_limit, max_line_bytes=max_event_bytes)
    for part in parts:
        yield from cutter.feed(part)
    yield from cutter.end()


class LineCutter:
    """Given part after part of a body of which each line is an event by whoever cannot wait for the next
    part. A line larger than `max_line_bytes` is cut down, to something that is still larger. Raises
    TooLarge for more than `most` events.

    All of what `feed` and `end` give has to be taken; `found` counts it.
    """

    def __init__(self, *, max_line_bytes: int, most: int | None = None) -> None:
        self._max_line_bytes = max_line_bytes
        self._most = most
        # The line that is not whole.
        self._begun: list[bytes] = []
        self.held = 0
        self.found = 0
        self._line = 1

    def feed(self, part: bytes) -> Iterator[Lines]:
        """The lines that end with this part."""
        first = part.find(b"\n") + 1
        if first:
            yield from self._ended(part[:first])
            last = part.rfind(b"\n") + 1
            yield from self._counted(Lines(part, first, last))
            part = part[last:]
        self._begun.append(part)
        self.held += len(part)
        if self.held > self._max_line_bytes:
            self._begun = [_bounded(b"".join(self._begun), self._max_line_bytes)]
            self.held = len(self._begun[0])

    def end(self) -> Iterator[Lines]:
        """The last line."""
        yield from self._ended(b"")

    def _ended(self, end: bytes) -> Iterator[Lines]:
        line = b"".join((*self._begun, end))
        self._begun, self.held = [], 0
        return self._counted(Lines(line))

    def _counted(self, lines: Lines) -> Iterator[Lines]:
        lines.index, lines.line = self.found, self._line
        if self._most is not None:
            lines.end = lines.most = self._most
        yield lines
        self.found, self._line = lines.index, lines.line
        if self._most is not None and self.found > self._most:
            raise too_many(self._most)


class Cutter:
    """The same for a body of which it must be found out what it is.

    One event a line comes with its part. An array, or one object over several lines, has to be read
    whole: raises TooLarge for more than `whole_limit` bytes of that.
    """

    def __init__(self, *, whole_limit: int, max_line_bytes: int, most: int | None = None) -> None:
        self._whole_limit = whole_limit
        self._most = most
        self._lines = LineCutter(max_line_bytes=max_line_bytes, most=most)
        self._are_lines = False
        self._look_at = 0
        # All there was, until it is known that the events are lines.
        self._begun: list[bytes] = []
        self._size = 0
        self._whole = 0

    @property
    def held(self) -> int:
        """About how many bytes this keeps, or will take to go on."""
        return self._lines.held + 2 * self._size

    @property
    def found(self) -> int:
        """How many events there were."""
        return self._lines.found + self._whole

    def feed(self, part: bytes) -> Iterator[Events]:
        """The events that have become certain."""
        if self._are_lines:
            yield from self._lines.feed(part)
            return
        self._begun.append(part)
        self._size += len(part)
        if self._size >= self._look_at:
            head = self._joined()
            if _are_lines(head):
                self._are_lines = True
                self._begun, self._size = [], 0
                yield from self._lines.feed(head.removeprefix(UTF8_BOM))
                return
            self._begun = [head]
            if _is_array(head):
                self._look_at = self._whole_limit + 1  # whatever may follow
            elif self._size > _LOOKED_AT_EACH_TIME:
                self._look_at = self._size + self._size // 4
        if self._size > self._whole_limit:
            raise TooLarge(_beyond(self._joined()[:_LOOKED_AT_EACH_TIME], self._whole_limit))

    def end(self) -> Iterator[Events]:
        """The last events; raises UnreadableBody if there were none at all."""
        if self._are_lines:
            yield from self._lines.end()
            return
        last = self._joined()
        self._begun, self._size = [], 0
        items = cut(last, self._most)
        self._whole = len(items)
        yield items

    def refused(self) -> tuple[()]:
        """None: what is broken shows when it is judged."""
        return ()

    def _joined(self) -> bytes:
        return self._begun[0] if len(self._begun) == 1 else b"".join(self._begun)


def _beyond(start: bytes, limit: int) -> str:
    if _is_array(start):
        return f"an array of more than {limit:,} bytes; give its events one a line: jq -c '.[]'"
    return f"more than {limit:,} bytes, and neither one event a line nor a document read so far"


def _is_array(head: bytes) -> bool:
    found = _FIRST.match(head)
    return found is not None and found[1] == b"["


def _are_lines(head: bytes) -> bool:
    """Whether `cut` takes each line for an event, whatever may follow."""
    # Between two lines no value can be half read, so that what is wrong there stays wrong.
    seen = head[: head.rfind(b"\n") + 1].removeprefix(UTF8_BOM)
    if _FIRST.match(seen) is None or _is_array(seen):
        return False
    items = Lines(seen)
    if is_complete(next(items).raw):
        return True
    return not _may_be_one(seen) and any(is_complete(item.raw) for item in items)


def _may_be_one(seen: bytes) -> bool:
    """Whether this is a JSON value, or the beginning of one."""
    try:
        msgspec.json.decode(seen, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return "truncated" in str(error)
    except RecursionError:
        return False
    return True


def _bounded(line: bytes, most: int) -> bytes:
    """The line, or so much of it that it will stay too large if it is, white space around it apart."""
    line = line.lstrip()
    if len(line) <= most:
        return line
    return line[: most + 1] if len(line.rstrip()) <= most else line[:most] + b"."
