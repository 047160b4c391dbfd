"""What the page of one alert shows: its shape, filled by alert_case, drawn by its template."""

from dataclasses import dataclass
from datetime import datetime

from app.web.components import SelectOption, Tab


@dataclass(frozen=True, slots=True)
class TokenView:
    """One argument of the command line. `tone` is plain, option, destination, notable or alarming."""

    text: str
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class FindingView:
    """One sentence about the command line, and the arguments that caused it."""

    sentence: str
    tone: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ProcessView:
    """One line of the lineage, outermost first; `depth` counts from 0."""

    name: str
    note: str
    depth: int
    is_alert_process: bool


@dataclass(frozen=True, slots=True)
class EventDetail:
    """A label and an event's value. `filter_href` lists alerts that share it."""

    label: str
    value: str
    monospace: bool = False
    filter_href: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class GuideStepView:
    """`html` is safe. `tick_action` takes a POST with csrf, `done` (yes or no) and `part`."""

    key: str
    html: str
    done: bool
    done_by: str | None
    done_at: datetime | None
    tick_action: str
    exclude_href: str | None


@dataclass(frozen=True, slots=True)
class GuideView:
    """Block `guide`. One part at a time; its tabs are links that also work without JavaScript."""

    part: str
    tabs: tuple[Tab, ...]  # count: done; label already says "Triage 3/5"
    introduction_html: str
    steps: tuple[GuideStepView, ...]
    rule_name: str
    rule_href: str


@dataclass(frozen=True, slots=True)
class MatchRow:
    """`clock_skew` says how far the agent's clock is from ours, when it is worth saying."""

    id: int
    received_at: datetime
    occurred_at: datetime | None
    clock_skew: str | None
    command_line: str
    pid: int | None
    agent: str
    raw_href: str


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """`text` is ours (what changed); `comment` is what a person wrote, None without one."""

    actor: str
    at: datetime
    text: str
    comment: str | None
    is_automatic: bool


@dataclass(frozen=True, slots=True)
class PreviousAlert:
    id: int
    href: str
    verdict: str
    reason: str
    closed_at: datetime
    closed_by: str


@dataclass(frozen=True, slots=True)
class CloseForm:
    """What was typed into the form that closes the alert, and what was wrong with it."""

    verdict: str = ""
    reason: str = ""
    errors: tuple[tuple[str, str], ...] = ()  # (field, sentence)


@dataclass(frozen=True, slots=True)
class AlertPage:
    """Blocks: `alert` (heading, conflict, actions, forms), `guide`, `activity`.

    Forms post csrf and `version` to: `status_action` (move=acknowledge|reopen, or move=close with
    verdict and reason), `assign_action` (assignee, empty for nobody), `comment_action` (comment).
    """

    id: int
    href: str
    version: int
    status: str
    severity: str
    priority: int
    priority_parts: tuple[tuple[str, int], ...]
    priority_clamped: bool  # the parts add up to more, or to less than nothing
    headline: str
    rule_name: str
    rule_href: str
    explain_href: str
    first_seen: datetime
    last_seen: datetime
    match_count: int
    assignee: str | None
    assignee_options: tuple[SelectOption, ...]
    verdict: str | None
    reason: str | None
    closed_by: str | None
    closed_at: datetime | None
    can_acknowledge: bool
    can_close: bool
    can_reopen: bool
    verdict_options: tuple[SelectOption, ...]
    close_form: CloseForm
    close_form_open: bool
    conflict: str | None
    status_action: str
    assign_action: str
    comment_action: str
    comment: str
    comment_error: str | None
    exclude_href: str | None
    previous_alert: PreviousAlert | None
    grouped_by: tuple[tuple[str, str], ...]
    tokens: tuple[TokenView, ...]
    command_note: str
    findings: tuple[FindingView, ...]
    lineage: tuple[ProcessView, ...]
    event_details: tuple[EventDetail, ...]
    guide: GuideView
    matches: tuple[MatchRow, ...]
    matches_older_href: str | None
    matches_newest_href: str | None
    activity: tuple[ActivityRow, ...]
    list_href: str
