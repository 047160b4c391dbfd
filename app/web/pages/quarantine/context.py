"""What the pages of quarantine are given, and the filter that their addresses and forms hold."""

from collections.abc import Callable
from dataclasses import dataclass

from app.domain.text import escape_unstorable
from app.store.quarantine import QuarantineFilter
from app.web import urls
from app.web.components import SelectOption
from app.web.pages.agents.context import QuarantineRow
from app.web.pages.quarantine.hex_dump import HexDump

QUARANTINE_PATH = "/quarantine"


@dataclass(frozen=True, slots=True)
class ReasonCount:
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
    agent_options: tuple[SelectOption, ...]
    reason: str
    reasons: tuple[ReasonCount, ...]
    reason_sample_size: int
    filtered: bool
    action: str
    newest_href: str | None
    older_href: str | None
    search_limit_note: str | None
    export_href: str
    export_limit: int
    can_manage: bool
    retry_action: str
    delete_action: str
    hidden_inputs: tuple[tuple[str, str], ...]
    bulk_limit: int


@dataclass(frozen=True, slots=True)
class QuarantinedEventPage:
    """One event. `retry_preview` is what would become of it now; the forms post csrf and id."""

    row: QuarantineRow
    agent_href: str
    hex_dump: HexDump
    previous_href: str | None
    next_href: str | None
    retry_preview: str
    retry_preview_tone: str
    can_manage: bool
    retry_action: str
    delete_action: str
    hidden_inputs: tuple[tuple[str, str], ...]


def read_filter(field: Callable[[str], str]) -> QuarantineFilter:
    """The filter in a query or a form: `key` is a key's id, `reason` a part of the reason."""
    return QuarantineFilter(
        key_id=urls.parse_row_id(field("key")),
        # Longer than any reason of ours; SQLite refuses to look for patterns of 50,000 characters.
        reason=escape_unstorable(field("reason").strip())[:200],
        before=urls.parse_row_id(field("before")),
        up_to=urls.parse_row_id(field("up_to")),
    )


def filter_parameters(event_filter: QuarantineFilter) -> dict[str, object]:
    return {"key": event_filter.key_id, "reason": event_filter.reason}
