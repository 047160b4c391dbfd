"""Template context of the alert list."""

from dataclasses import dataclass

from app.store.tables import Alert
from app.web.components import Chip, SelectOption, Tab


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One line of the list; `chips` are labels of the first few findings about the command line."""

    alert: Alert
    chips: tuple[Chip, ...]
    assignee: str | None


@dataclass(frozen=True, slots=True)
class FilterChip:
    """An active filter; `remove_href` is the URL of the same view without this filter."""

    label: str
    value: str
    remove_href: str


@dataclass(frozen=True, slots=True)
class AlertsPage:
    """Context of alerts.html; its block is `list`.

    `hidden_inputs` are the (name, value) pairs of the filters that have no visible input.
    """

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
    verdicts: tuple[str, ...]
    no_alerts_yet: bool  # the database contains no alert at all
    filter_error: str | None
