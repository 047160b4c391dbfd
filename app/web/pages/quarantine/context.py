"""Template contexts of the quarantine pages, and the filter in their URLs and forms."""

from collections.abc import Callable
from dataclasses import dataclass

from app.domain.text import escape_unstorable
from app.store.quarantine import QuarantineFilter
from app.web import urls
from app.web.components import SelectOption
from app.web.pages.quarantine.hex_dump import HexDump
from app.web.quarantine_rows import QuarantineRow


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """A rejection reason without details, such as "not UTF-8", and its count among the newest events."""

    text: str
    count: int
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class QuarantinePage:
    """Context of quarantine.html; its block is `list`.

    The form that retries events and the form that deletes events both post `hidden_inputs`.
    """

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
    """Context of quarantined.html. `retry_preview` describes the result that a retry would have now."""

    row: QuarantineRow
    hex_dump: HexDump
    previous_href: str | None
    next_href: str | None
    retry_preview: str
    retry_preview_tone: str
    can_manage: bool
    retry_action: str
    delete_action: str


def read_filter(field: Callable[[str], str]) -> QuarantineFilter:
    """Return the filter in a query string or a form. `field` returns the value of a parameter.

    `key` is the id of an API key. `reason` is a text that the rejection reason must contain.
    """
    return QuarantineFilter(
        key_id=urls.parse_row_id(field("key")),
        # The length is limited, because SQLite refuses LIKE patterns longer than 50,000 bytes. The links
        # of ReasonCount have the same limit.
        reason=escape_unstorable(field("reason").strip())[:200],
        before=urls.parse_row_id(field("before")),
        up_to=urls.parse_row_id(field("up_to")),
    )


def filter_parameters(event_filter: QuarantineFilter) -> dict[str, object]:
    return {"key": event_filter.key_id, "reason": event_filter.reason}
