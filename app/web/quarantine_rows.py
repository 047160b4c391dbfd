"""Rows of quarantined events, for the quarantine and the agents page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.store import api_keys, quarantine
from app.store.database import Session
from app.store.quarantine import QuarantinePreview

QUARANTINE_PATH = "/quarantine"
PREVIEW_BYTES = 300
REMOVED_KEY_NAME = "removed key"
# The error handler `surrogateescape` decodes each byte that is not valid UTF-8 to one of these
# characters, which valid UTF-8 never contains.
_INVALID_UTF8 = re.compile("([\udc80-\udcff]+)")


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A quarantined event.

    Each item of `text_segments` is a pair (text, is_invalid). `is_invalid` is true if the text stands for
    bytes that are not valid UTF-8.
    """

    event: QuarantinePreview
    agent: str
    text_segments: tuple[tuple[str, bool], ...]


def build_quarantine_rows(session: Session, ids: Sequence[int]) -> tuple[QuarantineRow, ...]:
    """Return the rows of the events with these ids, newest first."""
    events = quarantine.list_previews(session, ids, PREVIEW_BYTES)
    names = api_keys.names_by_id(session, (event.key_id for event in events))
    return tuple(_row(event, names) for event in events)


def _row(event: QuarantinePreview, names: dict[int, str]) -> QuarantineRow:
    segments = _split_invalid_utf8(event.first_bytes)
    if event.size > len(event.first_bytes):
        segments = (*segments, ("…", False))
    return QuarantineRow(event, names.get(event.key_id, REMOVED_KEY_NAME), segments)


def _split_invalid_utf8(raw: bytes) -> tuple[tuple[str, bool], ...]:
    """Split bytes into segments of valid UTF-8 and segments of invalid UTF-8.

    Each segment is a pair (text, is_invalid). In an invalid segment, each byte is written as \\xNN, such as
    \\xff. An incomplete character at the end of `raw` is omitted, because the preview may end within a
    character.
    """
    complete = raw[: len(raw) - _incomplete_tail_length(raw)]
    segments = _INVALID_UTF8.split(complete.decode("utf-8", "surrogateescape"))
    return tuple(
        ("".join(f"\\x{ord(byte) - 0xDC00:02x}" for byte in segment), True)
        if index % 2
        else (segment, False)
        for index, segment in enumerate(segments)
        if segment
    )


def _incomplete_tail_length(raw: bytes) -> int:
    """Return the number of bytes of an incomplete UTF-8 character at the end of `raw`, or 0 (RFC 3629)."""
    for length in range(1, min(4, len(raw) + 1)):
        byte = raw[-length]
        if byte & 0xC0 != 0x80:
            full_length = 2 if 0xC2 <= byte <= 0xDF else 3 if byte & 0xF0 == 0xE0 else 4
            return length if 0xC2 <= byte <= 0xF4 and length < full_length else 0
    return 0
