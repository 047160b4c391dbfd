"""Raw events, rejected events, and errors that refuse a whole request body."""

from hashlib import sha256

import msgspec

from app.domain.errors import DeckwatchError
from app.formats import RejectionKind

# A body of the maximum size contains about this many of the smallest real events. Without this limit, a body
# of 64 MiB such as `[1,1,1,…]` would become tens of millions of rejected events, and each rejected event
# needs several hundred bytes of memory.
MAX_EVENTS_PER_REQUEST = 100_000


class UnreadableBody(DeckwatchError):
    """HTTP status 400: the body is empty, or its compressed data is damaged."""


class ContentTooLarge(DeckwatchError):
    """HTTP status 413: the body is too large, or has too many events or form fields."""


def too_many_events(max_events: int) -> ContentTooLarge:
    return ContentTooLarge(
        f"The body holds more than {max_events:,} events; send fewer events per request."
    )


# This is a msgspec struct because very many instances are created, and creating a struct is four times faster
# than creating a dataclass.
class RawEvent(msgspec.Struct, gc=False):
    """The bytes of one event, its index in the body (from 0) and the number of its first line (from 1)."""

    index: int
    line: int
    raw: bytes


class RejectedEvent(msgspec.Struct, frozen=True):
    """An event to quarantine. `reason` is a phrase for users, and `kind` is a label for metrics."""

    raw_event: RawEvent
    reason: str
    kind: RejectionKind = RejectionKind.OTHER


class NewRejection(msgspec.Struct, frozen=True):
    """A rejected event that is not stored yet, and the SHA-256 of its bytes.

    The digest is computed before the transaction, because one transaction serves the requests of all agents.
    """

    event: RejectedEvent
    digest: bytes


def new_rejection(event: RejectedEvent) -> NewRejection:
    return NewRejection(event, sha256(event.raw_event.raw).digest())
