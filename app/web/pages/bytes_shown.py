"""Bytes as pages show them: as text with what is no text marked, and in hexadecimal, a window at a time."""

import re
from dataclasses import dataclass

WINDOW = 2_048
LINE = 16
# Reasons name the byte at which reading stopped.
_AT_BYTE = re.compile(r"\bbyte (\d{1,15})\b")
# With surrogateescape, a byte that is not UTF-8 becomes one of these; real text has none of them.
_NOT_TEXT = re.compile("([\udc80-\udcff]+)")


def text_pieces(raw: bytes) -> tuple[tuple[str, bool], ...]:
    """(text, whether it stands for bytes that are not UTF-8, each written as \\xNN).

    A character that the end of `raw` cuts in two is left out: it may be whole in what was cut off.
    """
    whole = raw[: len(raw) - _cut_short(raw)]
    pieces = _NOT_TEXT.split(whole.decode("utf-8", "surrogateescape"))
    return tuple(
        ("".join(f"\\x{ord(byte) - 0xDC00:02x}" for byte in piece), True)
        if at % 2
        else (piece, False)
        for at, piece in enumerate(pieces)
        if piece
    )


def _cut_short(raw: bytes) -> int:
    """How many bytes at the end begin a UTF-8 character and do not end it (RFC 3629)."""
    for back in range(1, min(4, len(raw) + 1)):
        byte = raw[-back]
        if byte & 0xC0 != 0x80:
            length = 2 if 0xC2 <= byte <= 0xDF else 3 if byte & 0xF0 == 0xE0 else 4
            return back if byte >= 0xC2 and byte <= 0xF4 and back < length else 0
    return 0


@dataclass(frozen=True, slots=True)
class DumpLine:
    """One line: where it begins, its bytes in hexadecimal, and as ASCII with a dot for the rest.

    The three parts of each lie before, at and behind the byte that the reason names, if it is here.
    """

    offset: str
    hexadecimal: tuple[str, str, str]
    text: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Dump:
    """`before` and `after` are where the windows beside this one begin, None when there is none."""

    lines: tuple[DumpLine, ...]
    start: int
    end: int
    size: int
    marked: int | None
    before: int | None
    after: int | None


def dump(raw: bytes, reason: str, asked: int | None) -> Dump:
    """The window that `asked` falls into; without it the one with the byte that `reason` names."""
    named = _AT_BYTE.search(reason)
    marked = int(named[1]) if named and int(named[1]) < len(raw) else None
    at = asked if asked is not None else marked or 0
    start = min(at, max(len(raw) - 1, 0)) // WINDOW * WINDOW
    end = min(start + WINDOW, len(raw))
    return Dump(
        lines=tuple(
            _line(raw[here : min(here + LINE, end)], here, marked)
            for here in range(start, end, LINE)
        ),
        start=start,
        end=end,
        size=len(raw),
        marked=marked if marked is not None and start <= marked < end else None,
        before=start - WINDOW if start else None,
        after=end if end < len(raw) else None,
    )


def _line(some: bytes, offset: int, marked: int | None) -> DumpLine:
    pairs = [f"{byte:02x}" for byte in some]
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in some)
    padding = "   " * (LINE - len(some))
    if marked is None or not offset <= marked < offset + len(some):
        return DumpLine(f"{offset:08x}", (" ".join(pairs) + padding, "", ""), (text, "", ""))
    at = marked - offset
    before = "".join(f"{pair} " for pair in pairs[:at])
    after = "".join(f" {pair}" for pair in pairs[at + 1 :]) + padding
    return DumpLine(
        f"{offset:08x}", (before, pairs[at], after), (text[:at], text[at], text[at + 1 :])
    )
