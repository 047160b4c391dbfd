"""Routes of the alert list: filters in the URL, tabs by status, keyset pagination, bulk actions."""

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
from app.web.components import Chip, SelectOption, Tab
from app.web.forms import FormDep
from app.web.page_frame import Notice
from app.web.page_response import render_page, see_other
from app.web.pages.alerts.context import AlertRow, AlertsPage, FilterChip
from app.web.pages.alerts.event_view import finding_tone
from app.web.paths import ALERTS_PATH
from app.web.services import Services, ServicesDep

PAGE_SIZE = 50
CHIPS_LIMIT = 3
FAILURES_LIMIT = 3
_SORT_LABELS = {
    Sort.TIME: "Newest first",
    Sort.PRIORITY: "Highest priority first",
    Sort.RARITY: "Fewest events first",
}
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
    alert_filter, filter_error = read_filter(query, session, principal)
    matching = alerts.search(session, alert_filter, PAGE_SIZE + 1)
    page = matching[:PAGE_SIZE]
    names = users.names_by_id(session, (alert.assignee_id for alert in page))
    view = {name: value for name, value in query.items() if name != "cursor"}
    older_href = None
    if len(matching) > PAGE_SIZE:
        cursor = Cursor(alerts.sort_key(page[-1], alert_filter.sort), page[-1].id or 0)
        older_href = urls.href(ALERTS_PATH, view, cursor=urls.encode_cursor(cursor))
    total = alerts.count(session, replace(alert_filter, after=None))
    return AlertsPage(
        tabs=_tabs(session, alert_filter, view),
        q=alert_filter.q,
        severity_options=_enum_options("Any severity", reversed(Severity), alert_filter.severity),
        role_options=_role_options(alert_filter.ssh_role),
        assignee_options=_assignee_options(session, query.get("assignee", "")),
        sort_options=tuple(
            # The default order has an empty value, so that it does not appear in the URL.
            SelectOption("" if sort is Sort.TIME else str(sort), label, sort is alert_filter.sort)
            for sort, label in _SORT_LABELS.items()
        ),
        hidden_inputs=tuple(
            (name, view[name]) for name in (*EXACT_FILTERS, "status", "verdict") if name in view
        ),
        filter_chips=_filter_chips(session, services, view),
        clear_href=urls.href(ALERTS_PATH, status=query.get("status")),
        rows=tuple(
            AlertRow(alert, _finding_chips(alert), names.get(alert.assignee_id or 0))
            for alert in page
        ),
        first_href=urls.href(ALERTS_PATH, view) if alert_filter.after else None,
        older_href=older_href,
        refresh_href=urls.href(ALERTS_PATH, query),
        summary=_count_summary(total, len(page)),
        verdicts=tuple(Verdict),
        no_alerts_yet=not page and not alerts.has_any(session),
        filter_error=filter_error,
    )


def _count_summary(total: int, row_count: int) -> str:
    if not total:
        return ""
    total_text = f"more than {COUNT_LIMIT:,}" if total > COUNT_LIMIT else f"{total:,}"
    return f"{row_count:,} of {total_text} {'alert' if total == 1 else 'alerts'}"


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
    any_label: str, values: Iterable[StrEnum], selected: str | None
) -> tuple[SelectOption, ...]:
    return (
        SelectOption("", any_label, not selected),
        *(SelectOption(str(value), value.capitalize(), value == selected) for value in values),
    )


def _role_options(selected: str | None) -> tuple[SelectOption, ...]:
    return (
        SelectOption("", "Any SSH role", not selected),
        *(SelectOption(str(role), role.label.capitalize(), role == selected) for role in SshRole),
    )


def _assignee_options(session: Session, selected: str) -> tuple[SelectOption, ...]:
    options = [
        (ANY_ASSIGNEE, "Any assignee"),
        (CURRENT_USER, "Assigned to me"),
        (NO_ASSIGNEE, "Unassigned"),
        *((user.name, user.name) for user in users.list_active(session)),
    ]
    return tuple(SelectOption(value, label, value == selected) for value, label in options)


def _filter_chips(
    session: Session, services: Services, view: dict[str, str]
) -> tuple[FilterChip, ...]:
    labels = {name: label for name, (_, label) in EXACT_FILTERS.items()} | {"verdict": "Verdict"}
    chips = []
    for name, label in labels.items():
        if value := view.get(name):
            text = _rule_name(session, services, value) if name == "rule" else value
            chips.append(FilterChip(label, text, urls.href(ALERTS_PATH, view, **{name: None})))
    return tuple(chips)


def _rule_name(session: Session, services: Services, rule_id: str) -> str:
    """Return the name of a rule.

    If the rule is no longer loaded, the newest alert of the rule contains the name. If there is no alert, the
    function returns `rule_id`.
    """
    if (rule := services.find_rule(rule_id)) is not None:
        return rule.name
    return alerts.latest_rule_name(session, escape_unstorable(rule_id)) or rule_id


def _finding_chips(alert: Alert) -> tuple[Chip, ...]:
    return tuple(
        Chip(chip["label"], finding_tone(int(chip["risk"])), chip["title"])
        for chip in alert.chips[:CHIPS_LIMIT]
    )


@router.post(f"{ALERTS_PATH}/bulk")
def change_status_in_bulk(
    request: Request, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    """Change the status of the selected alerts. A notice reports the alerts that could not be changed."""
    form.allow_fields("alert", "move", "verdict", "reason", "next")
    back = urls.safe_redirect_path(form["next"], ALERTS_PATH)
    action = next((action for action in AlertAction if action == form["move"]), None)
    row_ids = [urls.parse_row_id(text) for text in form.get_list("alert")]
    alert_ids = list(dict.fromkeys(row_id for row_id in row_ids if row_id is not None))
    if action is None or not alert_ids:
        return see_other(request, back, Notice("warning", "Select at least one alert first."))
    if len(alert_ids) > PAGE_SIZE:
        text = f"Select at most {PAGE_SIZE} alerts. No alert was changed."
        return see_other(request, back, Notice("warning", text))
    try:
        failures = actions.change_many(
            services.database,
            alert_ids,
            actions.StatusChange(action, form["verdict"], form["reason"]),
            principal=principal,
            at=services.clock(),
        )
    except Unavailable as error:
        return see_other(request, back, Notice("warning", str(error)))
    return see_other(request, back, _bulk_notice(action, len(alert_ids), failures))


def _bulk_notice(action: AlertAction, alert_count: int, failures: dict[int, str]) -> Notice:
    changed = alert_count - len(failures)
    text = f"{changed} {'alert' if changed == 1 else 'alerts'} {action.past_tense}."
    if not failures:
        return Notice("done", text)
    reasons = [f"#{alert_id}: {reason}" for alert_id, reason in failures.items()]
    return Notice(
        "warning", f"{text} {len(failures)} not changed: " + " ".join(reasons[:FAILURES_LIMIT])
    )
