"""Events of a body without end, block by block: the same ones that `cut` finds in the whole."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import msgspec

from app.ingest.body import UTF8_BOM, Item, TooLarge, cut, is_complete, lines

# Up to here it is looked again, with each part, whether the events are lines; from here on less and
# less often, so that all this looking takes time in proportion.
_LOOKED_AT_EACH_TIME = 1 << 20


def cut_blocks(
    parts: Iterable[bytes], *, whole_limit: int, max_event_bytes: int
) -> Iterator[Sequence[Item]]:
    """The events of `parts`, as soon as it is certain where they begin and end.

    One event a line comes with its part. An array, or one object over several lines, has to be read
    whole: raises TooLarge for more than `whole_limit` bytes of that. Raises UnreadableBody if there
    is no event. A line larger than `max_event_bytes` is cut down, to something that is still larger.
    """
    rest = iter(parts)
    head, are_lines = _head(rest, whole_limit)
    if not are_lines:
        yield cut(head)
        return
    index, line = 0, 1
    for block in _whole_lines(chain([head.removeprefix(UTF8_BOM)], rest), max_event_bytes):
        # As `lines` does, and quicker: a block may be split at once, a whole body of line ends not.
        split = block.split(b"\n")
        stripped = [(at, raw) for at, raw in enumerate(map(bytes.strip, split), line) if raw]
        yield [Item(place, at, raw) for place, (at, raw) in enumerate(stripped, index)]
        index += len(stripped)
        line += len(split) - 1


def _head(parts: Iterator[bytes], limit: int) -> tuple[bytes, bool]:
    """As much as it takes to see that the events are lines, or all there is; and whether they are."""
    head = bytearray()
    look_at = 0
    for part in parts:
        head += part
        if len(head) >= look_at:
            if _are_lines(bytes(head)):
                return bytes(head), True
            look_at = len(head) + len(head) // 4 if len(head) > _LOOKED_AT_EACH_TIME else 0
        if len(head) > limit:
            raise TooLarge(_beyond(bytes(head[:_LOOKED_AT_EACH_TIME]), limit))
    return bytes(head), False


def _beyond(start: bytes, limit: int) -> str:
    if start.removeprefix(UTF8_BOM).lstrip().startswith(b"["):
        return f"an array of more than {limit:,} bytes; give its events one a line: jq -c '.[]'"
    return f"more than {limit:,} bytes, and neither one event a line nor a document read so far"


def _are_lines(head: bytes) -> bool:
    """Whether `cut` takes each line for an event, whatever may follow."""
    # Between two lines no value can be half read, so that what is wrong there stays wrong.
    seen = head[: head.rfind(b"\n") + 1].removeprefix(UTF8_BOM)
    if not seen.strip() or seen.lstrip().startswith(b"["):
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


def _whole_lines(parts: Iterable[bytes], most: int) -> Iterator[bytes]:
    """`parts` cut anew, behind the last line end of each."""
    begun = b""
    for part in parts:
        end = part.rfind(b"\n") + 1
        if end:
            yield b"".join((begun, memoryview(part)[:end]))
            begun = part[end:]
        else:
            begun = _bounded(begun + part, most)
    if begun:
        yield begun


def _bounded(line: bytes, most: int) -> bytes:
    """The line, or so much of it that it will stay too large if it is, white space around it apart."""
    line = line.lstrip()
    if len(line) <= most:
        return line
    return line[: most + 1] if len(line.rstrip()) <= most else line[:most] + b"."
