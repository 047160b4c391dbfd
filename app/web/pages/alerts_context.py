"""What the list of alerts shows: its shape, filled by alerts, drawn by its template."""

from dataclasses import dataclass
from datetime import datetime

from app.web.shell import Chip, Option, Tab


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One line of the list. Every text but `severity`, `status` and `verdict` comes from an event."""

    id: int
    href: str
    severity: str
    priority: int
    rule: str
    headline: str
    chips: tuple[Chip, ...]
    command_line: str
    container: str | None
    image: str | None
    namespace: str | None
    host: str | None
    user: str | None
    match_count: int
    last_seen: datetime
    status: str
    verdict: str | None
    assignee: str | None


@dataclass(frozen=True, slots=True)
class FilterChip:
    """An active filter: `label: value`, and where the same view without it is."""

    label: str
    value: str
    remove_href: str


@dataclass(frozen=True, slots=True)
class AlertsPage:
    """Block `list` holds all of it below the heading. The filter form is a GET to `action` whose
    inputs are q, severity, role, assignee and sort plus `hidden` (name, value) for the rest.
    """

    action: str
    tabs: tuple[Tab, ...]
    q: str
    severities: tuple[Option, ...]
    roles: tuple[Option, ...]
    assignees: tuple[Option, ...]
    sorts: tuple[Option, ...]
    hidden: tuple[tuple[str, str], ...]
    filters: tuple[FilterChip, ...]
    clear_href: str
    rows: tuple[AlertRow, ...]
    first_href: str | None
    older_href: str | None
    refresh_href: str
    summary: str
    verdicts: tuple[Option, ...]
    bulk_action: str
    nothing_ever: bool  # no alert exists at all: say how to connect an agent
    connect_href: str
    problem: str | None  # a filter in the URL could not be read: what, and what would fit
