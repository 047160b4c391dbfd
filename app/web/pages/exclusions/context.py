"""Template contexts of the exclusion list and the exclusion page."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.event import Event
from app.store.exclusions import State
from app.store.tables import ExclusionRecord, ExclusionVersion, Match
from app.web.components import Tab


@dataclass(frozen=True, slots=True)
class ConditionView:
    """A condition. `caution` is a warning about the field, or None.

    The values can come from an event, so an attacker may have written them.
    """

    label: str
    operator: str
    values: tuple[str, ...]
    caution: str | None


@dataclass(frozen=True, slots=True)
class ExclusionRow:
    """One line of the list. `version` is the version that was approved last.

    If no version was approved, `version` is the newest version.
    """

    record: ExclusionRecord
    version: ExclusionVersion
    conditions: tuple[ConditionView, ...]
    state: State
    rule_name: str
    suppressed_count: int
    last_suppressed_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExclusionsPage:
    """Context of exclusions.html; its block is `list`."""

    tabs: tuple[Tab, ...]
    rows: tuple[ExclusionRow, ...]
    first_href: str | None
    older_href: str | None
    summary: str


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version of an exclusion and its parsed conditions."""

    version: ExclusionVersion
    conditions: tuple[ConditionView, ...]
    is_live: bool


@dataclass(frozen=True, slots=True)
class SuppressedMatchRow:
    match: Match
    event: Event


@dataclass(frozen=True, slots=True)
class ExclusionPage:
    """Context of exclusion.html; its blocks are `exclusion` and `matches`.

    `can_decide` is true if the user may approve or decline the pending version. `can_end` is true if the user
    may end the exclusion.
    """

    record: ExclusionRecord
    state: State
    rule_name: str
    current_version: VersionView
    pending_version: VersionView | None
    versions: tuple[VersionView, ...]
    can_decide: bool
    can_end: bool
    suppressed_count: int
    suppressed_matches: tuple[SuppressedMatchRow, ...]
    suppressed_older_href: str | None
    suppressed_newest_href: str | None
    conflict: str | None
