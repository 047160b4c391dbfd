"""What the pages of quarantine are given, and the filter that their addresses and forms hold."""

from collections.abc import Callable
from dataclasses import dataclass

from app.domain.text import storable
from app.store.quarantine import QuarantineFilter
from app.web import urls
from app.web.pages.agents_context import QuarantineRow
from app.web.pages.bytes_shown import Dump
from app.web.shell import Option

PATH = "/quarantine"


@dataclass(frozen=True, slots=True)
class Reason:
    """A kind of reason, its numbers left out, and how many of the newest events have it."""

    text: str
    count: int
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class QuarantinePage:
    """Block `list`. The two forms post csrf, key, reason and up_to."""

    rows: tuple[QuarantineRow, ...]
    total: str
    agents: tuple[Option, ...]
    reason: str
    reasons: tuple[Reason, ...]
    counted: int
    filtered: bool
    action: str
    newest_href: str | None
    older_href: str | None
    looked_through: str | None
    export_href: str
    export_events: int
    may_manage: bool
    retry_action: str
    delete_action: str
    fields: tuple[tuple[str, str], ...]
    at_once: int


@dataclass(frozen=True, slots=True)
class QuarantinedPage:
    """One event. `today` is what would become of it now; the forms post csrf and id."""

    row: QuarantineRow
    agent_href: str
    dump: Dump
    before_href: str | None
    after_href: str | None
    today: str
    today_tone: str
    may_manage: bool
    retry_action: str
    delete_action: str
    fields: tuple[tuple[str, str], ...]


def wanted_of(field: Callable[[str], str]) -> QuarantineFilter:
    """The filter in a query or a form: `key` is a key's id, `reason` a part of the reason."""
    return QuarantineFilter(
        key_id=urls.number(field("key")),
        # Longer than any reason of ours; SQLite refuses to look for patterns of 50,000 characters.
        reason=storable(field("reason").strip())[:200],
        before=urls.number(field("before")),
        up_to=urls.number(field("up_to")),
    )


def view_of(wanted: QuarantineFilter) -> dict[str, object]:
    return {"key": wanted.key_id, "reason": wanted.reason}
