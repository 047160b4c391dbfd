"""The list of alerts: filters in the URL, tabs by status, keyset pages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import alerts as actions
from app.domain.alert import Move, Status, Verdict
from app.domain.errors import Invalid, Unavailable
from app.domain.roles import Principal
from app.domain.severity import Severity
from app.domain.ssh import SshRole
from app.domain.text import storable
from app.store import alerts, people
from app.store.alerts import COUNT_LIMIT, AlertFilter, Cursor, Sort
from app.store.database import Session
from app.store.tables import Alert
from app.web import urls
from app.web.access import Analyst
from app.web.forms import Posted
from app.web.pages.alerts_context import AlertRow, AlertsPage, FilterChip
from app.web.respond import page, see_other
from app.web.services import Parts, Services
from app.web.shell import Chip, Notice, Option, Tab

PAGE_SIZE = 50
PATH = "/alerts"
router = APIRouter()

# What a URL may ask for beside status, q, severity, verdict, role, assignee, sort and cursor: exact
# values, by the name in the URL, each with its column and its label.
EXACT: dict[str, tuple[str, str]] = {
    "rule": ("rule_id", "Rule"),
    "host": ("host", "Host"),
    "container": ("container", "Container"),
    "container_id": ("container_id", "Container id"),
    "image": ("image", "Image"),
    "namespace": ("namespace", "Namespace"),
    "user": ("user_name", "User"),
    "destination": ("destination", "Destination"),
}
ANYONE, NOBODY, MYSELF = "", "nobody", "me"


Choice = TypeVar("Choice", Status, Severity, Verdict, SshRole, Sort)


def read_filter(
    query: Mapping[str, str], session: Session, who: Principal
) -> tuple[AlertFilter, str | None]:
    """The filter in a query string, and what in it could not be read (the rest still holds)."""
    problems: list[str] = []
    query = {name: storable(value) for name, value in query.items()}  # as events are kept

    def one_of(name: str, kinds: Sequence[Choice]) -> Choice | None:
        value = query.get(name, "")
        found = next((kind for kind in kinds if kind == value), None)
        if value and found is None:
            problems.append(f"{name} is one of: " + ", ".join(kinds) + ".")
        return found

    status_text = query.get("status", Status.OPEN)
    status = None if status_text == "all" else one_of("status", list(Status))
    if status is None and status_text in ("", "open"):
        status = Status.OPEN
    sort = one_of("sort", list(Sort)) or Sort.TIME
    role = one_of("role", list(SshRole))
    wanted = AlertFilter(
        status=status,
        q=query.get("q", "").strip()[:200],
        severity=one_of("severity", list(Severity)),
        verdict=one_of("verdict", list(Verdict)),
        ssh_role=str(role) if role else "",
        sort=sort,
    )
    exact: dict[str, Any] = {column: query.get(name, "") for name, (column, _) in EXACT.items()}
    wanted = replace(wanted, **exact)
    assignee = query.get("assignee", ANYONE)
    if assignee == NOBODY:
        wanted = replace(wanted, unassigned=True)
    elif assignee == MYSELF and who.user_id is not None:
        wanted = replace(wanted, assignee_id=who.user_id)
    elif assignee:
        user = people.by_name(session, assignee)
        if user is None:
            problems.append(f"There is no person named “{assignee}”.")
        else:
            wanted = replace(wanted, assignee_id=user.id)
    if cursor := query.get("cursor", ""):
        try:
            after = urls.read_cursor(cursor, timed=sort is Sort.TIME)
            wanted = replace(wanted, after=after)
        except Invalid as error:
            problems.append(str(error))
    return wanted, " ".join(problems) or None


@router.get(PATH)
def show(request: Request, who: Analyst, services: Parts) -> Response:
    query = {name: value for name, value in request.query_params.items() if value}
    with services.database.read() as session:
        context = _context(session, services, who, query)
    return page(request, who, "pages/alerts.html", context, title="Alerts", live=True)


def _context(
    session: Session, services: Services, who: Principal, query: dict[str, str]
) -> AlertsPage:
    wanted, problem = read_filter(query, session, who)
    found = alerts.search(session, wanted, PAGE_SIZE + 1)
    rows = found[:PAGE_SIZE]
    names = people.names(session, (alert.assignee_id for alert in rows))
    view = {name: value for name, value in query.items() if name != "cursor"}
    older = None
    if len(found) > PAGE_SIZE:
        last = rows[-1]
        cursor = Cursor(alerts.sort_key(last, wanted.sort), last.id or 0)
        older = urls.href(PATH, view, cursor=urls.cursor_text(cursor))
    total = alerts.count(session, replace(wanted, after=None))
    return AlertsPage(
        action=PATH,
        tabs=_tabs(session, wanted, view),
        q=wanted.q,
        severities=_options("Any severity", reversed(Severity), wanted.severity),
        roles=_options("Any role", SshRole, wanted.ssh_role),
        assignees=_assignees(session, query.get("assignee", "")),
        sorts=tuple(
            # The usual order needs no word in the address.
            Option("" if sort is Sort.TIME else str(sort), label, sort is wanted.sort)
            for sort, label in _SORTS.items()
        ),
        hidden=tuple((name, view[name]) for name in (*EXACT, "status", "verdict") if name in view),
        filters=_filter_chips(session, services, view),
        clear_href=urls.href(PATH, status=query.get("status")),
        rows=tuple(row_of(alert, names) for alert in rows),
        first_href=urls.href(PATH, view) if wanted.after else None,
        older_href=older,
        refresh_href=urls.href(PATH, query),
        summary=_summary(total, len(rows)),
        verdicts=tuple(Option(str(verdict), verdict.capitalize()) for verdict in Verdict),
        bulk_action=urls.href(f"{PATH}/bulk"),
        nothing_ever=not rows and not alerts.any_at_all(session),
        connect_href="/agents#connect",
        problem=problem,
    )


_SORTS = {
    Sort.TIME: "Newest first",
    Sort.PRIORITY: "Highest priority first",
    Sort.RARITY: "Rarest first",
}


def _summary(total: int, shown: int) -> str:
    if not total:
        return ""
    capped = total > COUNT_LIMIT
    told = f"more than {COUNT_LIMIT:,}" if capped else f"{total:,}"
    return f"{shown:,} of {told} {'alert' if total == 1 else 'alerts'}"


def _tabs(session: Session, wanted: AlertFilter, view: dict[str, str]) -> tuple[Tab, ...]:
    tabs = []
    for status in (*Status, None):
        count = alerts.count(session, replace(wanted, status=status, after=None))
        tabs.append(
            Tab(
                label=status.capitalize() if status else "All",
                href=urls.href(PATH, view, status=str(status) if status else "all"),
                current=wanted.status is status,
                count=min(count, COUNT_LIMIT),
                capped=count > COUNT_LIMIT,
            )
        )
    return tuple(tabs)


def _options(any_label: str, kinds: Iterable[StrEnum], chosen: str | None) -> tuple[Option, ...]:
    return (
        Option("", any_label, not chosen),
        *(Option(str(kind), kind.capitalize(), kind == chosen) for kind in kinds),
    )


def _assignees(session: Session, chosen: str) -> tuple[Option, ...]:
    fixed = [(ANYONE, "Anyone's"), (MYSELF, "Mine"), (NOBODY, "Nobody's")]
    everyone = [(user.name, user.name) for user in people.active(session)]
    return tuple(Option(value, label, value == chosen) for value, label in fixed + everyone)


def _filter_chips(
    session: Session, services: Services, view: dict[str, str]
) -> tuple[FilterChip, ...]:
    chips = []
    for name, (_, label) in EXACT.items():
        if value := view.get(name):
            shown = _rule_name(session, services, value) if name == "rule" else value
            without = {key: kept for key, kept in view.items() if key != name}
            chips.append(FilterChip(label, shown, urls.href(PATH, without)))
    if verdict := view.get("verdict"):
        without = {key: kept for key, kept in view.items() if key != "verdict"}
        chips.append(FilterChip("Verdict", verdict, urls.href(PATH, without)))
    return tuple(chips)


def _rule_name(session: Session, services: Services, rule_id: str) -> str:
    """Its alerts know the name of a rule that is not loaded any more."""
    if (rule := services.rule(rule_id)) is not None:
        return rule.name
    return alerts.rule_name(session, storable(rule_id)) or rule_id


def tone(risk: int) -> str:
    """How loudly a finding is shown, by the points it adds."""
    if risk >= 10:
        return "alarming"
    return "notable" if risk > 0 else "plain"


def chips_of(alert: Alert) -> tuple[Chip, ...]:
    return tuple(
        Chip(chip["label"], tone(int(chip["risk"])), chip["title"]) for chip in alert.chips
    )


def row_of(alert: Alert, names: dict[int, str]) -> AlertRow:
    """One line of a list; `names` are people's by id."""
    return AlertRow(
        id=alert.id or 0,
        href=f"{PATH}/{alert.id}",
        severity=alert.severity,
        priority=alert.priority,
        rule=alert.rule_name,
        headline=alert.headline,
        chips=chips_of(alert)[:3],
        command_line=alert.command_line[:300],
        container=alert.container,
        image=alert.image,
        namespace=alert.namespace,
        host=alert.host,
        user=alert.user_name,
        match_count=alert.match_count,
        last_seen=alert.last_seen,
        status=alert.status,
        verdict=alert.verdict,
        assignee=names.get(alert.assignee_id or 0),
    )


@router.post(f"{PATH}/bulk")
def change_many(request: Request, who: Analyst, services: Parts, form: Posted) -> Response:
    """Acknowledge or close every selected alert; those that cannot be are counted, the rest are done."""
    form.only("alert", "move", "verdict", "reason", "next")
    back = urls.local_path(form["next"], PATH)
    wanted = next((move for move in Move if move == form["move"]), None)
    numbers = [urls.number(text) for text in form.all("alert")]
    chosen = list(dict.fromkeys(number for number in numbers if number is not None))
    if wanted is None or not chosen:
        return see_other(request, back, Notice("warning", "Select at least one alert first."))
    if len(chosen) > PAGE_SIZE:
        told = f"At most {PAGE_SIZE} alerts at once; nothing was changed."
        return see_other(request, back, Notice("warning", told))
    requested = actions.StatusChange(wanted, form["verdict"], form["reason"])
    try:
        failures = actions.change_many(
            services.database, chosen, requested, who=who, at=services.clock()
        )
    except Unavailable as error:
        return see_other(request, back, Notice("warning", str(error)))
    refused = [f"#{alert_id}: {reason}" for alert_id, reason in failures.items()]
    return see_other(request, back, _bulk_notice(wanted, len(chosen), refused))


def _bulk_notice(move: Move, chosen: int, refused: list[str]) -> Notice:
    done = chosen - len(refused)
    what = {"acknowledge": "acknowledged", "close": "closed", "reopen": "reopened"}[move]
    text = f"{done} {'alert' if done == 1 else 'alerts'} {what}."
    if refused:
        return Notice("warning", f"{text} Not done: " + " ".join(refused[:3]))
    return Notice("done", text)
