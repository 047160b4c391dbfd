"""Bytes as pages show them: as text with what is no text marked, and in hexadecimal, a window at a time."""

import re
from dataclasses import dataclass

WINDOW_SIZE = 2_048
BYTES_PER_LINE = 16
# Reasons name the byte at which reading stopped.
_BYTE_OFFSET = re.compile(r"\bbyte (\d{1,15})\b")
# With surrogateescape, a byte that is not UTF-8 becomes one of these; real text has none of them.
_INVALID_UTF8 = re.compile("([\udc80-\udcff]+)")


def split_invalid_utf8(raw: bytes) -> tuple[tuple[str, bool], ...]:
    """(text, whether it stands for bytes that are not UTF-8, each written as \\xNN).

    A character that the end of `raw` cuts in two is left out: it may be whole in what was cut off.
    """
    whole = raw[: len(raw) - _incomplete_tail_length(raw)]
    pieces = _INVALID_UTF8.split(whole.decode("utf-8", "surrogateescape"))
    return tuple(
        ("".join(f"\\x{ord(byte) - 0xDC00:02x}" for byte in piece), True)
        if at % 2
        else (piece, False)
        for at, piece in enumerate(pieces)
        if piece
    )


def _incomplete_tail_length(raw: bytes) -> int:
    """How many bytes at the end begin a UTF-8 character and do not end it (RFC 3629)."""
    for back in range(1, min(4, len(raw) + 1)):
        byte = raw[-back]
        if byte & 0xC0 != 0x80:
            length = 2 if 0xC2 <= byte <= 0xDF else 3 if byte & 0xF0 == 0xE0 else 4
            return back if byte >= 0xC2 and byte <= 0xF4 and back < length else 0
    return 0


@dataclass(frozen=True, slots=True)
class HexDumpLine:
    """One line: where it begins, its bytes in hexadecimal, and as ASCII with a dot for the rest.

    The three parts of each lie before, at and behind the byte that the reason names, if it is here.
    """

    offset: str
    hexadecimal: tuple[str, str, str]
    text: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class HexDump:
    """`previous_start` and `next_start` are where the windows beside this one begin, None when there is none."""

    lines: tuple[HexDumpLine, ...]
    start: int
    end: int
    size: int
    highlighted_offset: int | None
    previous_start: int | None
    next_start: int | None


def hex_dump(raw: bytes, reason: str, requested_offset: int | None) -> HexDump:
    """The window that `asked` falls into; without it the one with the byte that `reason` names."""
    named = _BYTE_OFFSET.search(reason)
    highlighted_offset = int(named[1]) if named and int(named[1]) < len(raw) else None
    at = requested_offset if requested_offset is not None else highlighted_offset or 0
    start = min(at, max(len(raw) - 1, 0)) // WINDOW_SIZE * WINDOW_SIZE
    end = min(start + WINDOW_SIZE, len(raw))
    return HexDump(
        lines=tuple(
            _line(raw[here : min(here + BYTES_PER_LINE, end)], here, highlighted_offset)
            for here in range(start, end, BYTES_PER_LINE)
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


def _line(some: bytes, offset: int, highlighted_offset: int | None) -> HexDumpLine:
    pairs = [f"{byte:02x}" for byte in some]
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in some)
    padding = "   " * (BYTES_PER_LINE - len(some))
    if highlighted_offset is None or not offset <= highlighted_offset < offset + len(some):
        return HexDumpLine(f"{offset:08x}", (" ".join(pairs) + padding, "", ""), (text, "", ""))
    at = highlighted_offset - offset
    before = "".join(f"{pair} " for pair in pairs[:at])
    after = "".join(f" {pair}" for pair in pairs[at + 1 :]) + padding
    return HexDumpLine(
        f"{offset:08x}", (before, pairs[at], after), (text[:at], text[at], text[at + 1 :])
    )
