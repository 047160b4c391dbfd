"""What the list of alerts shows: its shape, filled by alerts, drawn by its template."""

from dataclasses import dataclass
from datetime import datetime

from app.web.components import Chip, SelectOption, Tab


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One line of the list. Every text but `severity`, `status` and `verdict` comes from an event."""

    id: int
    href: str
    severity: str
    priority: int
    rule_name: str
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
    inputs are q, severity, role, assignee and sort plus `hidden_inputs` (name, value) for the rest.
    """

    action: str
    tabs: tuple[Tab, ...]
    q: str
    severity_options: tuple[SelectOption, ...]
    role_options: tuple[SelectOption, ...]
    assignee_options: tuple[SelectOption, ...]
    sort_options: tuple[SelectOption, ...]
    hidden_inputs: tuple[tuple[str, str], ...]
    filter_chips: tuple[FilterChip, ...]
    clear_href: str
    rows: tuple[AlertRow, ...]
    first_href: str | None
    older_href: str | None
    refresh_href: str
    summary: str
    verdict_options: tuple[SelectOption, ...]
    bulk_action: str
    no_alerts_yet: bool  # no alert exists at all: say how to connect an agent
    connect_href: str
    filter_error: str | None  # a filter in the URL could not be read: what, and what would fit
