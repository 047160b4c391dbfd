"""Builds the context of the alert page from stored rows and the event that the alert displays."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from app.detection.rule import Rule
from app.domain.alert import Status, Verdict, available_actions
from app.domain.guide import GuidePart
from app.store import alerts, api_keys, matches, users
from app.store.database import Session
from app.store.tables import Alert, AlertActivity, GuideTick, Match
from app.web import urls
from app.web.components import SelectOption, Tab
from app.web.guide_view import PART_LABELS, parse_guide_part
from app.web.pages.alerts import event_view
from app.web.pages.alerts.alert_context import (
    ActivityRow,
    AlertPage,
    FormInput,
    GuideStepView,
    GuideView,
    MatchRow,
)
from app.web.paths import ALERTS_PATH
from app.web.quarantine_rows import REMOVED_KEY_NAME
from app.web.rendering import format_relative_time, markdown_to_html
from app.web.services import Services
from app.web.stored_event import parse_match_event

MATCHES_PAGE_SIZE = 20
# An event takes some time to reach the server. The page therefore shows a clock skew only if the clock skew
# is at least this long.
CLOCK_SKEW_THRESHOLD = timedelta(minutes=2)


def build_alert_page(
    session: Session,
    services: Services,
    alert: Alert,
    query: Mapping[str, str],
    form_input: FormInput,
) -> AlertPage:
    """Return the context of the page of `alert`.

    `query` is the query string of the page. Its parameter `guide` is the name of the guide part to show. Its
    parameter `before` is a match id; the page lists matches that are older than this match.
    """
    rule = services.find_rule(alert.rule_id)
    displayed_match = matches.displayed_match(session, alert)
    event = parse_match_event(displayed_match) if displayed_match else None
    alert_path = f"{ALERTS_PATH}/{alert.id}"
    assignee = users.names_by_id(session, [alert.assignee_id]).get(alert.assignee_id or 0)
    match_rows, oldest_id = _match_page(session, alert, query)
    return AlertPage(
        alert=alert,
        assignee=assignee,
        assignee_options=_assignee_options(session, assignee),
        actions=available_actions(Status(alert.status)),
        verdicts=tuple(Verdict),
        form=form_input,
        is_rule_loaded=rule is not None,
        previous_alert=_previous_alert(session, alert),
        grouped_by=_grouped_by(alert),
        tokens=event_view.tokens(event),
        command_note=event_view.command_note(event),
        findings=event_view.findings(event),
        lineage=event_view.lineage(event),
        event_details=event_view.event_details(alert, event),
        guide=_build_guide_view(session, alert, rule, query.get("guide", "")),
        matches=match_rows,
        matches_older_href=urls.href(alert_path, before=oldest_id) if oldest_id else None,
        matches_newest_href=alert_path if query.get("before") else None,
        activity=tuple(
            ActivityRow(entry, _activity_text(entry))
            for entry in alerts.list_activity(session, alert.id or 0)
        ),
    )


def _assignee_options(session: Session, assignee: str | None) -> tuple[SelectOption, ...]:
    return (
        SelectOption("", "Unassigned", assignee is None),
        *(
            SelectOption(user.name, user.name, user.name == assignee)
            for user in users.list_active(session)
        ),
    )


def _previous_alert(session: Session, alert: Alert) -> Alert | None:
    previous = alerts.get(session, alert.previous_id) if alert.previous_id else None
    return previous if previous and previous.status == Status.CLOSED else None


def _grouped_by(alert: Alert) -> tuple[tuple[str, str], ...]:
    values = [
        ("rule", alert.rule_name),
        ("host", alert.host),
        ("container", alert.container_id or alert.container),
        ("user", alert.user_name),
        ("process name", alert.process_name),
        ("destination", alert.destination),
    ]
    return tuple((label, value) for label, value in values if value)


def _build_guide_view(
    session: Session, alert: Alert, rule: Rule | None, requested_part: str
) -> GuideView:
    """Return one part of the guide with its completed steps, or an empty part if the rule is not loaded."""
    part_name = parse_guide_part(requested_part)
    ticks = alerts.guide_ticks(session, alert.id or 0)
    parts = rule.guide.parts if rule else ()
    tabs = []
    for part in parts:
        done = sum((str(part.name), step.key) in ticks for step in part.steps)
        label = f"{PART_LABELS[part.name]} {done}/{len(part.steps)}"
        href = urls.href(f"{ALERTS_PATH}/{alert.id}", guide=part.name)
        tabs.append(Tab(label, href, part.name is part_name))
    current = next((part for part in parts if part.name is part_name), None)
    return GuideView(
        part=str(part_name),
        tabs=tuple(tabs),
        introduction_html=str(markdown_to_html(current.text)) if current and current.text else "",
        steps=_guide_steps(alert, current, ticks) if current else (),
    )


def _guide_steps(
    alert: Alert, part: GuidePart, ticks: Mapping[tuple[str, str], GuideTick]
) -> tuple[GuideStepView, ...]:
    steps = []
    for step in part.steps:
        fields = ",".join(step.exclusion_fields)
        exclude_href = urls.href("/exclusions/new", alert=alert.id, fields=fields)
        steps.append(
            GuideStepView(
                key=step.key,
                html=str(markdown_to_html(step.markdown)),
                tick=ticks.get((str(part.name), step.key)),
                exclude_href=exclude_href if fields else None,
            )
        )
    return tuple(steps)


def _match_page(
    session: Session, alert: Alert, query: Mapping[str, str]
) -> tuple[tuple[MatchRow, ...], int | None]:
    """Return one page of matches, newest first, and the id of the last match on the page.

    The id is None if there are no older matches.
    """
    newest_first = matches.list_by_alert(
        session,
        alert.id or 0,
        before=urls.parse_row_id(query.get("before", "")),
        limit=MATCHES_PAGE_SIZE + 1,
    )
    page = newest_first[:MATCHES_PAGE_SIZE]
    agents = api_keys.names_by_id(session, (match.key_id for match in page))
    oldest_id = page[-1].id if len(newest_first) > MATCHES_PAGE_SIZE else None
    return tuple(_match_row(match, agents) for match in page), oldest_id


def _match_row(match: Match, agents: Mapping[int, str]) -> MatchRow:
    return MatchRow(
        match=match,
        process=parse_match_event(match).process,
        clock_skew=clock_skew_text(match.received_at, match.occurred_at),
        agent=agents.get(match.key_id, REMOVED_KEY_NAME),
    )


def clock_skew_text(received_at: datetime, occurred_at: datetime | None) -> str | None:
    """Return the agent's clock skew, such as "2 h behind".

    Return None if `occurred_at` is None or the clock skew is smaller than CLOCK_SKEW_THRESHOLD.
    """
    if occurred_at is None or abs(received_at - occurred_at) < CLOCK_SKEW_THRESHOLD:
        return None
    seconds = (received_at - occurred_at).total_seconds()
    amount = format_relative_time(abs(seconds)).removesuffix(" ago")
    return f"{amount} ahead" if seconds < 0 else f"{amount} behind"


_ACTIVITY_TEXTS = {
    "opened": "opened this alert",
    "acknowledged": "acknowledged the alert",
    "reopened": "reopened the alert",
    "commented": "commented",
    "excluded": "created an exclusion from the alert",
}


def _activity_text(entry: AlertActivity) -> str:
    match entry.kind:
        case "closed":
            return f"closed the alert as {entry.after}"
        case "assigned":
            return f"assigned the alert to {entry.after}" if entry.after else "unassigned the alert"
        case "ticked":
            return f"completed the step “{entry.after}”"
        case "unticked":
            return f"reset the step “{entry.after}”"
        case "opened" if entry.before:
            return f"opened this alert; the previous alert, #{entry.before}, was closed as {entry.after}"
        case _:
            return _ACTIVITY_TEXTS.get(entry.kind, entry.kind)
