"""Events of a body without end, block by block: the same ones that `cut` finds in the whole."""

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from app.ingest.body import UTF8_BOM, Item, TooLarge, cut, is_complete, lines, too_many

# Up to here it is looked again, with each part, whether the events are lines; from here on less and
# less often, so that all this looking takes time in proportion.
_LOOKED_AT_EACH_TIME = 1 << 20
_FIRST = re.compile(rb"(?:\xef\xbb\xbf)?\s*+(\S)")


def cut_blocks(
    parts: Iterable[bytes], *, whole_limit: int, max_event_bytes: int
) -> Iterator[Sequence[Item]]:
    """The events of `parts`, as soon as it is certain where they begin and end; see Cutter."""
    cutter = Cutter(whole_limit=whole_limit, max_line_bytes=max_event_bytes)
    for part in parts:
        if items := cutter.feed(part):
            yield items
    if items := cutter.end():
        yield items


class Cutter:
    """Given part after part of a body by whoever cannot wait for the next one.

    One event a line comes with its part. An array, or one object over several lines, has to be read
    whole: raises TooLarge for more than `whole_limit` bytes of that, and for more than `most` events.
    A line larger than `max_line_bytes` is cut down, to something that is still larger. `are_lines`
    says that one event a line is all there may be.
    """

    def __init__(
        self,
        *,
        whole_limit: int,
        max_line_bytes: int,
        most: int | None = None,
        are_lines: bool = False,
    ) -> None:
        self._whole_limit = whole_limit
        self._max_line_bytes = max_line_bytes
        self._most = most
        self._are_lines = are_lines
        self._look_at = 0
        # Before it is known that the events are lines: all there was; then: the line that is not whole.
        self._begun: list[bytes] = []
        self._size = 0
        self._index, self._line = 0, 1

    @property
    def held(self) -> int:
        """About how many bytes this keeps, or will take to go on."""
        return self._size if self._are_lines else 2 * self._size

    def feed(self, part: bytes) -> Sequence[Item]:
        """The events that have become certain."""
        if self._are_lines:
            return self._lines(part)
        self._begun.append(part)
        self._size += len(part)
        if self._size >= self._look_at:
            head = self._joined()
            if _are_lines(head):
                self._are_lines = True
                self._begun, self._size = [], 0
                return self._lines(head.removeprefix(UTF8_BOM))
            self._begun = [head]
            if _is_array(head):
                self._look_at = self._whole_limit + 1  # whatever may follow
            elif self._size > _LOOKED_AT_EACH_TIME:
                self._look_at = self._size + self._size // 4
        if self._size > self._whole_limit:
            raise TooLarge(_beyond(self._joined()[:_LOOKED_AT_EACH_TIME], self._whole_limit))
        return ()

    def end(self) -> Sequence[Item]:
        """The last events; raises UnreadableBody if there were none at all."""
        last = self._joined()
        self._begun, self._size = [], 0
        if self._are_lines:
            return self._items(last)
        return cut(last, self._most)

    def refused(self) -> tuple[()]:
        """None: what is broken shows when it is judged."""
        return ()

    def _joined(self) -> bytes:
        return self._begun[0] if len(self._begun) == 1 else b"".join(self._begun)

    def _lines(self, part: bytes) -> Sequence[Item]:
        items: Sequence[Item] = ()
        first = part.find(b"\n") + 1
        if first:
            self._begun.append(part[:first])
            items = self._items(self._joined())
            self._begun, self._size = [], 0
            last = part.rfind(b"\n") + 1
            items += self._items(part[:last], first)
            part = part[last:]
        self._begun.append(part)
        self._size += len(part)
        if self._size > self._max_line_bytes:
            self._begun = [_bounded(self._joined(), self._max_line_bytes)]
            self._size = len(self._begun[0])
        return items

    def _items(self, whole: bytes, start: int = 0) -> list[Item]:
        """The events of whole lines, from the byte `start` on."""
        items = list(lines(whole, start, self._index, self._line))
        if items:
            self._index, self._line = items[-1].index + 1, items[-1].line
            # Mostly one line end; to take off what may be more is to copy all before it.
            start = -1 if whole[-2:-1] > b" " else len(whole.rstrip())
        self._line += whole.count(b"\n", start)
        if self._most is not None and self._index > self._most:
            raise too_many(self._most)
        return items


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
    items = lines(seen)
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
