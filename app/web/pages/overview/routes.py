"""The first page: what needs a look, and what changed that could keep somebody from seeing it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.alert import Status
from app.domain.severity import Severity
from app.store import alerts, api_keys, exclusions, quarantine, rule_overrides
from app.store.alerts import AlertFilter, Sort
from app.store.database import Session
from app.store.exclusions import ExclusionHistory, State
from app.store.tables import Alert
from app.web import urls
from app.web.access import Analyst
from app.web.key_states import format_capped_count, key_states
from app.web.page_response import render_page
from app.web.paths import ALERTS_PATH, RULES_PATH
from app.web.services import Services, ServicesDep

OVERVIEW_PATH = "/"
TOP_ALERTS_LIMIT = 8
ENDING_SOON_PERIOD = timedelta(days=7)
RECENT_PERIOD = timedelta(days=7)
router = APIRouter()


@dataclass(frozen=True, slots=True)
class AlertCount:
    """A number and what it counts; `capped` numbers mean that many or more."""

    label: str
    count: int
    capped: bool
    href: str


@dataclass(frozen=True, slots=True)
class Reminder:
    """One thing to see to: `at` is the moment it is about, None without one."""

    text: str
    detail: str
    href: str
    tone: str
    label: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Block `overview` is all of it, and refreshes itself. `rules` are none in most weeks."""

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
        found = alerts.search(
            session, AlertFilter(status=Status.OPEN, sort=Sort.PRIORITY), TOP_ALERTS_LIMIT
        )
        context = OverviewPage(
            alert_counts=_alert_counts(session),
            top_alerts=tuple(found),
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
    wanted = [
        (f"open, {severity}", AlertFilter(status=Status.OPEN, severity=severity), severity)
        for severity in reversed(Severity)
    ]
    found = []
    for label, filtered, severity in wanted:
        count = alerts.count(session, filtered)
        limit = alerts.COUNT_LIMIT
        href = urls.href(ALERTS_PATH, severity=severity)
        found.append(AlertCount(label, min(count, limit), count > limit, href))
    unassigned = alerts.count(session, AlertFilter(status=Status.OPEN, unassigned=True))
    found.append(
        AlertCount(
            "open, nobody's",
            min(unassigned, alerts.COUNT_LIMIT),
            unassigned > alerts.COUNT_LIMIT,
            urls.href(ALERTS_PATH, assignee="nobody"),
        )
    )
    return tuple(found)


def _exclusion_reminders(session: Session, now: datetime) -> tuple[Reminder, ...]:
    """Those that wait, that ended or end soon, and the new ones: somebody may be hiding something."""
    told = [_exclusion_reminder(history, now) for history in exclusions.list_all(session)]
    return tuple(one for one in told if one is not None)[:12]


def _exclusion_reminder(history: ExclusionHistory, now: datetime) -> Reminder | None:
    version = history.live or history.newest
    href = f"/exclusions/{history.record.id}"
    state = history.state(now)
    if state is not State.ENDED and (waiting := history.waiting) is not None:
        by = f"proposed by {waiting.proposed_by}"
        return Reminder(waiting.reason, by, href, "warning", "to review", waiting.proposed_at)
    owner = f"owner {version.owner}"
    if state is State.EXPIRED and now - version.ends_at < ENDING_SOON_PERIOD:
        return Reminder(version.reason, owner, href, "warning", "expired", version.ends_at)
    if state is State.LIVE and version.ends_at - now < ENDING_SOON_PERIOD:
        return Reminder(version.reason, owner, href, "warning", "ends soon", version.ends_at)
    if state is State.LIVE and version.decided_at and now - version.decided_at < RECENT_PERIOD:
        by = f"approved by {version.decided_by}"
        return Reminder(version.reason, by, href, "plain", "new", version.decided_at)
    return None


def _rule_reminders(session: Session, services: Services, now: datetime) -> tuple[Reminder, ...]:
    """Files that were not loaded, and rules that somebody has disabled just lately."""
    found = []
    if files := len({problem.path for problem in services.rules.problems}):
        text = f"{files:,} rule {'file was' if files == 1 else 'files were'} not loaded."
        found.append(Reminder(text, "", RULES_PATH, "warning", "broken", None))
    last = sorted(
        rule_overrides.list_all(session).values(), key=lambda s: s.changed_at, reverse=True
    )
    for switch in last:
        rule = services.find_rule(switch.rule_id)
        if rule is not None and not switch.enabled and now - switch.changed_at < RECENT_PERIOD:
            by = f"by {switch.changed_by}"
            href = f"{RULES_PATH}/{rule.id}"
            found.append(Reminder(rule.name, by, href, "warning", "disabled", switch.changed_at))
    return tuple(found[:12])


def _agent_reminders(session: Session, now: datetime) -> tuple[Reminder, ...]:
    href = "/agents"
    found = [
        Reminder(one.key.name, "", f"{href}/{one.id}", one.tone, one.state, one.last_seen_at)
        for one in key_states(session, now)
        if one.state in ("silent", "never seen")
    ]
    if not api_keys.list_all(session):
        found.append(
            Reminder("No agent has a key yet.", "", f"{href}#connect", "warning", "connect", None)
        )
    if kept := quarantine.count(session):
        told = "One event could" if kept == 1 else f"{format_capped_count(kept)} events could"
        text = f"{told} not be read."
        found.append(Reminder(text, "", "/quarantine", "warning", "quarantine", None))
    return tuple(found)
