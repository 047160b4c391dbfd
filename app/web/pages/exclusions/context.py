"""What the pages of exclusions show: their shape, filled by exclusions, drawn by their templates."""

from dataclasses import dataclass
from datetime import datetime

from app.web.components import Tab


@dataclass(frozen=True, slots=True)
class ConditionView:
    """A condition in words; `values` are a person's, copied from an attacker's."""

    label: str
    field: str
    operator: str
    values: tuple[str, ...]
    caution: str | None = None


@dataclass(frozen=True, slots=True)
class ExclusionRow:
    """`state` is proposed, live, expired, ended or declined."""

    id: int
    href: str
    state: str
    rule_name: str
    conditions: tuple[ConditionView, ...]
    reason: str
    owner: str
    ends_at: datetime
    suppressed_count: int
    last_suppressed_at: datetime | None
    proposed_by: str


@dataclass(frozen=True, slots=True)
class ExclusionsPage:
    """Block `list`."""

    tabs: tuple[Tab, ...]
    rows: tuple[ExclusionRow, ...]
    new_href: str
    first_href: str | None
    older_href: str | None
    summary: str


@dataclass(frozen=True, slots=True)
class VersionView:
    """`decision` is waiting, approved or declined."""

    number: int
    conditions: tuple[ConditionView, ...]
    reason: str
    owner: str
    ends_at: datetime
    proposed_by: str
    proposed_at: datetime
    decision: str
    decided_by: str | None
    decided_at: datetime | None
    is_live: bool


@dataclass(frozen=True, slots=True)
class SuppressedMatchRow:
    """A suppressed match: which version hid it, and its event."""

    id: int
    received_at: datetime
    version: int
    headline: str
    command_line: str
    container: str | None
    host: str | None
    user: str | None
    raw_href: str


@dataclass(frozen=True, slots=True)
class ExclusionPage:
    """Forms post csrf and `version` (the newest one seen) to approve_action, decline_action and
    end_action; an action that this person may not take now is None.
    """

    id: int
    state: str
    rule_name: str
    rule_href: str
    current_version: VersionView
    pending_version: VersionView | None
    versions: tuple[VersionView, ...]
    newest_version: int
    ended_by: str | None
    ended_at: datetime | None
    from_alert_href: str | None
    from_alert_id: int | None
    edit_href: str | None
    approve_action: str | None
    decline_action: str | None
    end_action: str | None
    suppressed_count: int
    suppressed_matches: tuple[SuppressedMatchRow, ...]
    suppressed_older_href: str | None
    suppressed_newest_href: str | None
    conflict: str | None
    list_href: str
