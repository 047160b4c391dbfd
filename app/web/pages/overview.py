"""The first page: what needs a look, and what changed that could keep somebody from seeing it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.alert import Status
from app.domain.severity import Severity
from app.store import alerts, exclusions, keys, people, quarantine, switches
from app.store.alerts import AlertFilter, Sort
from app.store.database import Session
from app.store.exclusions import State, Whole
from app.web import urls
from app.web.access import Analyst
from app.web.pages.agent_states import counted, key_states
from app.web.pages.alerts import PATH as ALERTS
from app.web.pages.alerts import row_of
from app.web.pages.alerts_context import AlertRow
from app.web.pages.rules_context import PATH as RULES
from app.web.respond import page
from app.web.services import Parts, Services

PATH = "/"
LOOK_FIRST = 8
ENDING_SOON = timedelta(days=7)
NEW_FOR = timedelta(days=7)
router = APIRouter()


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and what it counts; `capped` numbers mean that many or more."""

    label: str
    number: int
    capped: bool
    href: str


@dataclass(frozen=True, slots=True)
class Reminder:
    """One thing to see to: `when` is the moment it is about, None without one."""

    text: str
    detail: str
    href: str
    tone: str
    label: str
    when: datetime | None


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Block `overview` is all of it, and refreshes itself. `rules` are none in most weeks."""

    figures: tuple[Figure, ...]
    first: tuple[AlertRow, ...]
    first_href: str
    exclusions: tuple[Reminder, ...]
    rules: tuple[Reminder, ...]
    agents: tuple[Reminder, ...]
    nothing_ever: bool


@router.get(PATH)
def show(request: Request, who: Analyst, services: Parts) -> Response:
    now = services.clock()
    with services.database.read() as session:
        found = alerts.search(
            session, AlertFilter(status=Status.OPEN, sort=Sort.PRIORITY), LOOK_FIRST
        )
        names = people.names(session, (alert.assignee_id for alert in found))
        context = OverviewPage(
            figures=_figures(session),
            first=tuple(row_of(alert, names) for alert in found),
            first_href=urls.href(ALERTS, sort=Sort.PRIORITY),
            exclusions=_exclusions(session, now),
            rules=_rules(session, services, now),
            agents=_agents(session, now),
            nothing_ever=not alerts.any_at_all(session),
        )
    return page(request, who, "pages/overview.html", context, title="Overview", live=True)


def _figures(session: Session) -> tuple[Figure, ...]:
    wanted = [
        (f"open, {severity}", AlertFilter(status=Status.OPEN, severity=severity), severity)
        for severity in reversed(Severity)
    ]
    found = []
    for label, filtered, severity in wanted:
        count = alerts.count(session, filtered)
        limit = alerts.COUNT_LIMIT
        href = urls.href(ALERTS, severity=severity)
        found.append(Figure(label, min(count, limit), count > limit, href))
    unassigned = alerts.count(session, AlertFilter(status=Status.OPEN, unassigned=True))
    found.append(
        Figure(
            "open, nobody's",
            min(unassigned, alerts.COUNT_LIMIT),
            unassigned > alerts.COUNT_LIMIT,
            urls.href(ALERTS, assignee="nobody"),
        )
    )
    return tuple(found)


def _exclusions(session: Session, now: datetime) -> tuple[Reminder, ...]:
    """Those that wait, that ended or end soon, and the new ones: somebody may be hiding something."""
    told = [_reminder(whole, now) for whole in exclusions.everything(session)]
    return tuple(one for one in told if one is not None)[:12]


def _reminder(whole: Whole, now: datetime) -> Reminder | None:
    version = whole.live or whole.newest
    href = f"/exclusions/{whole.record.id}"
    state = whole.state(now)
    if state is not State.ENDED and (waiting := whole.waiting) is not None:
        by = f"proposed by {waiting.proposed_by}"
        return Reminder(waiting.reason, by, href, "notable", "to review", waiting.proposed_at)
    owner = f"owner {version.owner}"
    if state is State.EXPIRED and now - version.ends_at < ENDING_SOON:
        return Reminder(version.reason, owner, href, "notable", "expired", version.ends_at)
    if state is State.LIVE and version.ends_at - now < ENDING_SOON:
        return Reminder(version.reason, owner, href, "notable", "ends soon", version.ends_at)
    if state is State.LIVE and version.decided_at and now - version.decided_at < NEW_FOR:
        by = f"approved by {version.decided_by}"
        return Reminder(version.reason, by, href, "plain", "new", version.decided_at)
    return None


def _rules(session: Session, services: Services, now: datetime) -> tuple[Reminder, ...]:
    """Files that were not loaded, and rules that somebody has disabled just lately."""
    found = []
    if files := len({problem.path for problem in services.rules.problems}):
        text = f"{files:,} rule {'file was' if files == 1 else 'files were'} not loaded."
        found.append(Reminder(text, "", RULES, "notable", "broken", None))
    last = sorted(switches.everything(session).values(), key=lambda s: s.changed_at, reverse=True)
    for switch in last:
        rule = services.rule(switch.rule_id)
        if rule is not None and not switch.enabled and now - switch.changed_at < NEW_FOR:
            by = f"by {switch.changed_by}"
            href = f"{RULES}/{rule.id}"
            found.append(Reminder(rule.name, by, href, "notable", "disabled", switch.changed_at))
    return tuple(found[:12])


def _agents(session: Session, now: datetime) -> tuple[Reminder, ...]:
    href = "/agents"
    found = [
        Reminder(one.key.name, "", f"{href}/{one.id}", one.tone, one.state, one.seen_at)
        for one in key_states(session, now)
        if one.state in ("silent", "never seen")
    ]
    if not keys.all_keys(session):
        found.append(
            Reminder("No agent has a key yet.", "", f"{href}#connect", "notable", "connect", None)
        )
    if kept := quarantine.total(session):
        told = "One event could" if kept == 1 else f"{counted(kept)} events could"
        text = f"{told} not be read."
        found.append(Reminder(text, "", "/quarantine", "notable", "quarantine", None))
    return tuple(found)
