"""The list of alerts: filters in the URL, tabs by status, keyset pages."""

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import alerts as actions
from app.domain.alert import AlertAction, Status, Verdict
from app.domain.errors import Unavailable
from app.domain.principal import Principal
from app.domain.severity import Severity
from app.domain.ssh import SshRole
from app.domain.text import escape_unstorable
from app.store import alerts, users
from app.store.alerts import COUNT_LIMIT, AlertFilter, Cursor, Sort
from app.store.database import Session
from app.store.tables import Alert
from app.web import urls
from app.web.access import Analyst
from app.web.alert_query import ANY_ASSIGNEE, CURRENT_USER, EXACT_FILTERS, NO_ASSIGNEE, read_filter
from app.web.forms import FormDep
from app.web.page_frame import Chip, Notice, SelectOption, Tab
from app.web.page_response import render_page, see_other
from app.web.pages.alerts.context import AlertRow, AlertsPage, FilterChip
from app.web.paths import ALERTS_PATH
from app.web.services import Services, ServicesDep

PAGE_SIZE = 50
router = APIRouter()


@router.get(ALERTS_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    query = {name: value for name, value in request.query_params.items() if value}
    with services.database.read() as session:
        context = _build_page(session, services, principal, query)
    return render_page(
        request, principal, "pages/alerts.html", context, title="Alerts", is_live=True
    )


def _build_page(
    session: Session, services: Services, principal: Principal, query: dict[str, str]
) -> AlertsPage:
    alert_filter, problem = read_filter(query, session, principal)
    found = alerts.search(session, alert_filter, PAGE_SIZE + 1)
    rows = found[:PAGE_SIZE]
    names = users.names_by_id(session, (alert.assignee_id for alert in rows))
    view = {name: value for name, value in query.items() if name != "cursor"}
    older = None
    if len(found) > PAGE_SIZE:
        last = rows[-1]
        cursor = Cursor(alerts.sort_key(last, alert_filter.sort), last.id or 0)
        older = urls.href(ALERTS_PATH, view, cursor=urls.encode_cursor(cursor))
    total = alerts.count(session, replace(alert_filter, after=None))
    return AlertsPage(
        action=ALERTS_PATH,
        tabs=_tabs(session, alert_filter, view),
        q=alert_filter.q,
        severity_options=_enum_options("Any severity", reversed(Severity), alert_filter.severity),
        role_options=_enum_options("Any role", SshRole, alert_filter.ssh_role),
        assignee_options=_assignee_options(session, query.get("assignee", "")),
        sort_options=tuple(
            # The usual order needs no word in the address.
            SelectOption("" if sort is Sort.TIME else str(sort), label, sort is alert_filter.sort)
            for sort, label in _SORT_LABELS.items()
        ),
        hidden_inputs=tuple(
            (name, view[name]) for name in (*EXACT_FILTERS, "status", "verdict") if name in view
        ),
        filter_chips=_filter_chips(session, services, view),
        clear_href=urls.href(ALERTS_PATH, status=query.get("status")),
        rows=tuple(build_alert_row(alert, names) for alert in rows),
        first_href=urls.href(ALERTS_PATH, view) if alert_filter.after else None,
        older_href=older,
        refresh_href=urls.href(ALERTS_PATH, query),
        summary=_count_summary(total, len(rows)),
        verdict_options=tuple(
            SelectOption(str(verdict), verdict.capitalize()) for verdict in Verdict
        ),
        bulk_action=urls.href(f"{ALERTS_PATH}/bulk"),
        no_alerts_yet=not rows and not alerts.has_any(session),
        connect_href="/agents#connect",
        filter_error=problem,
    )


_SORT_LABELS = {
    Sort.TIME: "Newest first",
    Sort.PRIORITY: "Highest priority first",
    Sort.RARITY: "Rarest first",
}


def _count_summary(total: int, shown: int) -> str:
    if not total:
        return ""
    capped = total > COUNT_LIMIT
    told = f"more than {COUNT_LIMIT:,}" if capped else f"{total:,}"
    return f"{shown:,} of {told} {'alert' if total == 1 else 'alerts'}"


def _tabs(session: Session, alert_filter: AlertFilter, view: dict[str, str]) -> tuple[Tab, ...]:
    tabs = []
    for status in (*Status, None):
        count = alerts.count(session, replace(alert_filter, status=status, after=None))
        tabs.append(
            Tab(
                label=status.capitalize() if status else "All",
                href=urls.href(ALERTS_PATH, view, status=str(status) if status else "all"),
                is_current=alert_filter.status is status,
                count=min(count, COUNT_LIMIT),
                capped=count > COUNT_LIMIT,
            )
        )
    return tuple(tabs)


def _enum_options(
    any_label: str, values: Iterable[StrEnum], chosen: str | None
) -> tuple[SelectOption, ...]:
    return (
        SelectOption("", any_label, not chosen),
        *(SelectOption(str(kind), kind.capitalize(), kind == chosen) for kind in values),
    )


def _assignee_options(session: Session, chosen: str) -> tuple[SelectOption, ...]:
    fixed = [(ANY_ASSIGNEE, "Anyone's"), (CURRENT_USER, "Mine"), (NO_ASSIGNEE, "Nobody's")]
    everyone = [(user.name, user.name) for user in users.list_active(session)]
    return tuple(SelectOption(value, label, value == chosen) for value, label in fixed + everyone)


def _filter_chips(
    session: Session, services: Services, view: dict[str, str]
) -> tuple[FilterChip, ...]:
    chips = []
    for name, (_, label) in EXACT_FILTERS.items():
        if value := view.get(name):
            shown = _rule_name(session, services, value) if name == "rule" else value
            without = {key: kept for key, kept in view.items() if key != name}
            chips.append(FilterChip(label, shown, urls.href(ALERTS_PATH, without)))
    if verdict := view.get("verdict"):
        without = {key: kept for key, kept in view.items() if key != "verdict"}
        chips.append(FilterChip("Verdict", verdict, urls.href(ALERTS_PATH, without)))
    return tuple(chips)


def _rule_name(session: Session, services: Services, rule_id: str) -> str:
    """Its alerts know the name of a rule that is not loaded any more."""
    if (rule := services.find_rule(rule_id)) is not None:
        return rule.name
    return alerts.latest_rule_name(session, escape_unstorable(rule_id)) or rule_id


def finding_tone(risk: int) -> str:
    """How loudly a finding is shown, by the points it adds."""
    if risk >= 10:
        return "danger"
    return "warning" if risk > 0 else "plain"


def finding_chips(alert: Alert) -> tuple[Chip, ...]:
    return tuple(
        Chip(chip["label"], finding_tone(int(chip["risk"])), chip["title"]) for chip in alert.chips
    )


def build_alert_row(alert: Alert, names: dict[int, str]) -> AlertRow:
    """One line of a list; `names` are people's by id."""
    return AlertRow(
        id=alert.id or 0,
        href=f"{ALERTS_PATH}/{alert.id}",
        severity=alert.severity,
        priority=alert.priority,
        rule_name=alert.rule_name,
        headline=alert.headline,
        chips=finding_chips(alert)[:3],
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


@router.post(f"{ALERTS_PATH}/bulk")
def change_status_in_bulk(
    request: Request, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    """Acknowledge or close every selected alert; those that cannot be are counted, the rest are done."""
    form.allow_fields("alert", "move", "verdict", "reason", "next")
    back = urls.safe_redirect_path(form["next"], ALERTS_PATH)
    requested_move = next((move for move in AlertAction if move == form["move"]), None)
    numbers = [urls.parse_row_id(text) for text in form.get_list("alert")]
    chosen = list(dict.fromkeys(number for number in numbers if number is not None))
    if requested_move is None or not chosen:
        return see_other(request, back, Notice("warning", "Select at least one alert first."))
    if len(chosen) > PAGE_SIZE:
        told = f"At most {PAGE_SIZE} alerts at once; nothing was changed."
        return see_other(request, back, Notice("warning", told))
    requested = actions.StatusChange(requested_move, form["verdict"], form["reason"])
    try:
        failures = actions.change_many(
            services.database, chosen, requested, principal=principal, at=services.clock()
        )
    except Unavailable as error:
        return see_other(request, back, Notice("warning", str(error)))
    refused = [f"#{alert_id}: {reason}" for alert_id, reason in failures.items()]
    return see_other(request, back, _bulk_notice(requested_move, len(chosen), refused))


def _bulk_notice(move: AlertAction, chosen: int, refused: list[str]) -> Notice:
    done = chosen - len(refused)
    what = {"acknowledge": "acknowledged", "close": "closed", "reopen": "reopened"}[move]
    text = f"{done} {'alert' if done == 1 else 'alerts'} {what}."
    if refused:
        return Notice("warning", f"{text} Not done: " + " ".join(refused[:3]))
    return Notice("done", text)
