"""Raw events, rejected events, and the errors that refuse a whole body."""

import msgspec

from app.domain.errors import DeckwatchError
from app.formats import RejectionKind

# A body of the largest size holds about this many of the smallest real events. Without the limit, 64 MiB
# of `1,1,1` become tens of millions of rejections of several hundred bytes each.
MAX_EVENTS_PER_REQUEST = 100_000


class UnreadableBody(DeckwatchError):
    """400: the body holds no events, or its compressed data is damaged."""


class ContentTooLarge(DeckwatchError):
    """413: the body exceeds a limit, as sent or after decompression."""


def too_many_events(max_events: int) -> ContentTooLarge:
    return ContentTooLarge(
        f"The body holds more than {max_events:,} events; send fewer events per request."
    )


# This is a msgspec struct because one is created for every event, four times faster than a dataclass.
class RawEvent(msgspec.Struct, gc=False):
    """The bytes of one event, its index in the body (from 0) and its first line (from 1)."""

    index: int
    line: int
    raw: bytes


class RejectedEvent(msgspec.Struct, frozen=True):
    """An event to quarantine, with the reason as a phrase and as a metrics label."""

    raw_event: RawEvent
    reason: str
    kind: RejectionKind = RejectionKind.OTHER
