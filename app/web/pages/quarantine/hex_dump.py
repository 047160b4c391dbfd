"""Hex dump of a quarantined event, one window of WINDOW_SIZE bytes at a time."""

import re
from dataclasses import dataclass

WINDOW_SIZE = 2_048
BYTES_PER_LINE = 16
# A rejection reason can name the byte at which parsing stopped, such as "not UTF-8 at byte 12".
_BYTE_OFFSET = re.compile(r"\bbyte (\d{1,15})\b")


@dataclass(frozen=True, slots=True)
class HexDumpLine:
    """A line of the dump: its offset, its bytes in hexadecimal, and its bytes as text.

    The text contains a dot for each byte that is not printable ASCII. `hexadecimal` and `text` have three
    parts: before, at and after the highlighted byte. If the highlighted byte is in another line, the first
    part is the whole line.
    """

    offset: str
    hexadecimal: tuple[str, str, str]
    text: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class HexDump:
    """A window of an event; `previous_start` and `next_start` are the offsets of adjacent windows."""

    lines: tuple[HexDumpLine, ...]
    start: int
    end: int
    size: int
    highlighted_offset: int | None
    previous_start: int | None
    next_start: int | None


def hex_dump(raw: bytes, reason: str, requested_offset: int | None) -> HexDump:
    """Return the window that contains the byte `requested_offset`.

    If `requested_offset` is None, `reason` determines the window. The reason "not UTF-8 at byte 12" names the
    byte 12, so the function returns the window that contains the byte 12. If `reason` names no byte, the
    function returns the first window.
    """
    named = _BYTE_OFFSET.search(reason)
    highlighted_offset = int(named[1]) if named and int(named[1]) < len(raw) else None
    offset = requested_offset if requested_offset is not None else highlighted_offset or 0
    start = min(offset, max(len(raw) - 1, 0)) // WINDOW_SIZE * WINDOW_SIZE
    end = min(start + WINDOW_SIZE, len(raw))
    return HexDump(
        lines=tuple(
            _line(
                raw[line_start : min(line_start + BYTES_PER_LINE, end)],
                line_start,
                highlighted_offset,
            )
            for line_start in range(start, end, BYTES_PER_LINE)
        ),
        start=start,
        end=end,
        size=len(raw),
        highlighted_offset=highlighted_offset
        if highlighted_offset is not None and start <= highlighted_offset < end
        else None,
        previous_start=start - WINDOW_SIZE if start else None,
        next_start=end if end < len(raw) else None,
    )


def _line(line: bytes, offset: int, highlighted_offset: int | None) -> HexDumpLine:
    pairs = [f"{byte:02x}" for byte in line]
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in line)
    padding = "   " * (BYTES_PER_LINE - len(line))
    if highlighted_offset is None or not offset <= highlighted_offset < offset + len(line):
        return HexDumpLine(f"{offset:08x}", (" ".join(pairs) + padding, "", ""), (text, "", ""))
    index = highlighted_offset - offset
    before = "".join(f"{pair} " for pair in pairs[:index])
    after = "".join(f" {pair}" for pair in pairs[index + 1 :]) + padding
    return HexDumpLine(
        f"{offset:08x}",
        (before, pairs[index], after),
        (text[:index], text[index], text[index + 1 :]),
    )
