"""Template context of the alert page."""

from dataclasses import dataclass, field

from app.domain.alert import AlertAction
from app.domain.event import Process
from app.store.tables import Alert, AlertActivity, GuideTick, Match
from app.web.components import SelectOption, Tab


@dataclass(frozen=True, slots=True)
class TokenView:
    """One argument of the command line; `tone` is a value of `app.domain.ssh.TokenKind`."""

    text: str
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class FindingView:
    """A sentence about the command line, and the arguments to which the sentence refers."""

    sentence: str
    tone: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ProcessView:
    """One process of the lineage: the entry leader, the parent, or the process of the event."""

    name: str
    note: str
    depth: int  # 0 for the first process of the lineage
    is_alert_process: bool


@dataclass(frozen=True, slots=True)
class EventDetail:
    """A label and a value of the event; `filter_href` is the URL of the alerts with the same value."""

    label: str
    value: str
    monospace: bool = False
    filter_href: str | None = None


@dataclass(frozen=True, slots=True)
class GuideStepView:
    """One step of the investigation guide. `html` is sanitised. `tick` is None until the step is done."""

    key: str
    html: str
    tick: GuideTick | None
    exclude_href: str | None


@dataclass(frozen=True, slots=True)
class GuideView:
    """One part of the investigation guide. The tabs are links, so they work without JavaScript."""

    part: str
    tabs: tuple[Tab, ...]
    introduction_html: str
    steps: tuple[GuideStepView, ...]


@dataclass(frozen=True, slots=True)
class MatchRow:
    """A match of the alert. `clock_skew` is None if the skew is unknown or too small to be shown."""

    match: Match
    process: Process
    clock_skew: str | None
    agent: str


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """An entry of the activity log and its description."""

    entry: AlertActivity
    text: str


@dataclass(frozen=True, slots=True)
class FormInput:
    """The input of a rejected form and its errors. The default values mean that no form was rejected."""

    verdict: str = ""
    reason: str = ""
    close_errors: dict[str, str] = field(default_factory=dict)  # messages by form field
    close_form_open: bool = False
    comment: str = ""
    comment_error: str | None = None
    conflict: str | None = None


@dataclass(frozen=True, slots=True)
class AlertPage:
    """Context of alert.html; its blocks are `alert`, `guide`, `matches` and `activity`."""

    alert: Alert
    assignee: str | None
    assignee_options: tuple[SelectOption, ...]
    actions: tuple[AlertAction, ...]
    verdicts: tuple[str, ...]
    form: FormInput
    is_rule_loaded: bool
    previous_alert: Alert | None
    grouped_by: tuple[tuple[str, str], ...]  # (label, value)
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
