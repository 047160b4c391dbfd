"""Overview page: open alerts, and exclusions, rules and agents that need attention."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.alert import Status
from app.domain.severity import Severity
from app.store import alerts, exclusions, quarantine, rule_overrides
from app.store.alerts import AlertFilter, Sort
from app.store.database import Session
from app.store.exclusions import ExclusionHistory, State
from app.store.tables import Alert
from app.web import urls
from app.web.access import Analyst
from app.web.key_states import KeyStatus, key_states
from app.web.number_format import format_capped_count
from app.web.page_response import render_page
from app.web.paths import ALERTS_PATH, RULES_PATH
from app.web.quarantine_rows import QUARANTINE_PATH
from app.web.services import Services, ServicesDep

OVERVIEW_PATH = "/"
AGENTS_PATH = "/agents"
TOP_ALERTS_LIMIT = 8
REMINDERS_LIMIT = 12
ENDING_SOON_PERIOD = timedelta(days=7)
RECENT_PERIOD = timedelta(days=7)
router = APIRouter()


@dataclass(frozen=True, slots=True)
class AlertCount:
    """A number of alerts with its label; `text` is "1,000+" if there are more than 1,000 alerts."""

    label: str
    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Reminder:
    """An item that needs attention; `at` is a time such as the end of an exclusion, or None."""

    text: str
    detail: str
    href: str
    tone: str
    label: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Context of overview.html. Its block `overview` is the whole content and reloads when alerts change."""

    alert_counts: tuple[AlertCount, ...]
    top_alerts: tuple[Alert, ...]
    open_alerts_href: str
    exclusions: tuple[Reminder, ...]
    rules: tuple[Reminder, ...]
    agents: tuple[Reminder, ...]
    no_alerts_yet: bool


@router.get(OVERVIEW_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    now = services.clock()
    with services.database.read() as session:
        top_alerts = alerts.search(
            session, AlertFilter(status=Status.OPEN, sort=Sort.PRIORITY), TOP_ALERTS_LIMIT
        )
        context = OverviewPage(
            alert_counts=_alert_counts(session),
            top_alerts=tuple(top_alerts),
            open_alerts_href=urls.href(ALERTS_PATH, sort=Sort.PRIORITY),
            exclusions=_exclusion_reminders(session, now),
            rules=_rule_reminders(session, services, now),
            agents=_agent_reminders(session, now),
            no_alerts_yet=not alerts.has_any(session),
        )
    return render_page(
        request, principal, "pages/overview.html", context, title="Overview", is_live=True
    )


def _alert_counts(session: Session) -> tuple[AlertCount, ...]:
    def alert_count(kind: str, alert_filter: AlertFilter, href: str) -> AlertCount:
        count = alerts.count(session, alert_filter)
        label = f"open {kind} {'alert' if count == 1 else 'alerts'}"
        return AlertCount(label, format_capped_count(count, alerts.COUNT_LIMIT), href)

    by_severity = [
        alert_count(
            f"{severity}-severity",
            AlertFilter(status=Status.OPEN, severity=severity),
            urls.href(ALERTS_PATH, severity=severity),
        )
        for severity in reversed(Severity)
    ]
    unassigned = alert_count(
        "unassigned",
        AlertFilter(status=Status.OPEN, unassigned=True),
        urls.href(ALERTS_PATH, assignee="nobody"),
    )
    return (*by_severity, unassigned)


def _exclusion_reminders(session: Session, now: datetime) -> tuple[Reminder, ...]:
    """Return reminders of exclusions: waiting for approval, recently expired, ending soon, newly approved."""
    reminders = (_exclusion_reminder(history, now) for history in exclusions.list_all(session))
    return tuple(reminder for reminder in reminders if reminder is not None)[:REMINDERS_LIMIT]


def _exclusion_reminder(history: ExclusionHistory, now: datetime) -> Reminder | None:
    version = history.live or history.newest
    href = f"/exclusions/{history.record.id}"
    state = history.state(now)
    if state is not State.ENDED and (waiting := history.waiting) is not None:
        proposed_by = f"proposed by {waiting.proposed_by}"
        return Reminder(
            waiting.reason, proposed_by, href, "warning", "to review", waiting.proposed_at
        )
    owner = f"owner {version.owner}"
    if state is State.EXPIRED and now - version.ends_at < ENDING_SOON_PERIOD:
        return Reminder(version.reason, owner, href, "warning", "expired", version.ends_at)
    if state is State.LIVE and version.ends_at - now < ENDING_SOON_PERIOD:
        return Reminder(version.reason, owner, href, "warning", "ends soon", version.ends_at)
    if state is State.LIVE and version.decided_at and now - version.decided_at < RECENT_PERIOD:
        approved_by = f"approved by {version.decided_by}"
        return Reminder(version.reason, approved_by, href, "plain", "new", version.decided_at)
    return None


def _rule_reminders(session: Session, services: Services, now: datetime) -> tuple[Reminder, ...]:
    """Return reminders of rule files that failed to load, and of rules that users disabled recently."""
    reminders = []
    if failed := len({problem.path for problem in services.rules.problems}):
        text = f"{failed:,} rule {'file' if failed == 1 else 'files'} could not be loaded."
        reminders.append(Reminder(text, "", RULES_PATH, "warning", "broken", None))
    overrides = sorted(
        rule_overrides.list_all(session).values(),
        key=lambda override: override.changed_at,
        reverse=True,
    )
    for override in overrides:
        rule = services.find_rule(override.rule_id)
        is_recent = now - override.changed_at < RECENT_PERIOD
        if rule is not None and not override.enabled and is_recent:
            reminders.append(
                Reminder(
                    rule.name,
                    f"disabled by {override.changed_by}",
                    f"{RULES_PATH}/{rule.id}",
                    "warning",
                    "disabled",
                    override.changed_at,
                )
            )
    return tuple(reminders[:REMINDERS_LIMIT])


def _agent_reminders(session: Session, now: datetime) -> tuple[Reminder, ...]:
    states = key_states(session, now)
    reminders = [
        Reminder(
            state.key.name,
            "",
            f"{AGENTS_PATH}/{state.id}",
            state.tone,
            state.label,
            state.last_seen_at,
        )
        for state in states
        if state.status in (KeyStatus.SILENT, KeyStatus.NEVER_SEEN)
    ]
    if not states:
        reminders.append(
            Reminder(
                "No agent is connected yet.",
                "",
                f"{AGENTS_PATH}#connect",
                "warning",
                "connect",
                None,
            )
        )
    if count := quarantine.count(session):
        events = "event" if count == 1 else "events"
        text = f"{format_capped_count(count, quarantine.COUNT_LIMIT)} {events} could not be parsed."
        reminders.append(Reminder(text, "", QUARANTINE_PATH, "warning", "quarantine", None))
    return tuple(reminders)
