"""Filling the page of one alert from the store and from the event that it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.detection.rule import Rule
from app.domain.alert import AlertAction, Status, Verdict, available_actions
from app.domain.guide import GuidePart
from app.store import alerts, api_keys, matches, users
from app.store.database import Session
from app.store.tables import Alert, AlertActivity, GuideTick, Match
from app.web import urls
from app.web.guide_view import PART_LABELS, parse_guide_part
from app.web.page_frame import SelectOption, Tab
from app.web.pages.alerts import event_view
from app.web.pages.alerts.alert_context import (
    ActivityRow,
    AlertPage,
    CloseForm,
    GuideStepView,
    GuideView,
    MatchRow,
    PreviousAlert,
)
from app.web.paths import ALERTS_PATH
from app.web.rendering import MARKDOWN, format_relative_time
from app.web.services import Services
from app.web.stored_event import parse_match_event

MATCHES_PAGE_SIZE = 20
# Less is the time an event takes to travel.
CLOCK_SKEW_THRESHOLD = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class FormInput:
    """What a form that was refused had held, and why."""

    close_form: CloseForm = field(default_factory=CloseForm)
    close_form_open: bool = False
    comment: str = ""
    comment_error: str | None = None
    conflict: str | None = None


def build_alert_page(
    session: Session,
    services: Services,
    alert: Alert,
    query: Mapping[str, str],
    form_input: FormInput,
) -> AlertPage:
    """`query` may hold `guide` (a part) and `before` (a match id, for older matches)."""
    rule = services.find_rule(alert.rule_id)
    shown = matches.displayed_match(session, alert)
    event = parse_match_event(shown) if shown else None
    here = f"{ALERTS_PATH}/{alert.id}"
    possible = available_actions(Status(alert.status))
    assignee = users.names_by_id(session, [alert.assignee_id]).get(alert.assignee_id or 0)
    page_of_matches, older = _match_page(session, alert, query)
    return AlertPage(
        id=alert.id or 0,
        href=here,
        version=alert.version,
        status=alert.status,
        severity=alert.severity,
        priority=alert.priority,
        priority_parts=tuple((part["why"], int(part["points"])) for part in alert.priority_parts),
        priority_clamped=sum(int(part["points"]) for part in alert.priority_parts)
        != alert.priority,
        headline=alert.headline,
        rule_name=alert.rule_name,
        rule_href=f"/rules/{alert.rule_id}",
        explain_href=urls.href("/explain", alert=alert.id, rule=alert.rule_id),
        first_seen=alert.first_seen,
        last_seen=alert.last_seen,
        match_count=alert.match_count,
        assignee=assignee,
        assignee_options=_assignee_options(session, assignee),
        verdict=alert.verdict,
        reason=alert.reason,
        closed_by=alert.closed_by,
        closed_at=alert.closed_at,
        can_acknowledge=AlertAction.ACKNOWLEDGE in possible,
        can_close=AlertAction.CLOSE in possible,
        can_reopen=AlertAction.REOPEN in possible,
        verdict_options=tuple(
            SelectOption(str(verdict), verdict.capitalize()) for verdict in Verdict
        ),
        close_form=form_input.close_form,
        close_form_open=form_input.close_form_open,
        conflict=form_input.conflict,
        status_action=f"{here}/status",
        assign_action=f"{here}/assignee",
        comment_action=f"{here}/comments",
        comment=form_input.comment,
        comment_error=form_input.comment_error,
        exclude_href=urls.href("/exclusions/new", alert=alert.id) if rule else None,
        previous_alert=_previous_alert(session, alert),
        grouped_by=_grouped_by(alert),
        tokens=event_view.tokens(event),
        command_note=event_view.command_note(event),
        findings=event_view.findings(event),
        lineage=event_view.lineage(event),
        event_details=event_view.event_details(alert, event),
        guide=build_guide_view(session, alert, rule, query.get("guide", "")),
        matches=page_of_matches,
        matches_older_href=urls.href(here, before=older) if older else None,
        matches_newest_href=here if query.get("before") else None,
        activity=tuple(_activity_row(row) for row in alerts.list_activity(session, alert.id or 0)),
        list_href=urls.href(
            ALERTS_PATH, status=None if alert.status == Status.OPEN else alert.status
        ),
    )


def _assignee_options(session: Session, assignee: str | None) -> tuple[SelectOption, ...]:
    nobody = SelectOption("", "Nobody", assignee is None)
    return (
        nobody,
        *(
            SelectOption(user.name, user.name, user.name == assignee)
            for user in users.list_active(session)
        ),
    )


def _previous_alert(session: Session, alert: Alert) -> PreviousAlert | None:
    before = alerts.get(session, alert.previous_id) if alert.previous_id else None
    if before is None or before.verdict is None or before.closed_at is None:
        return None
    return PreviousAlert(
        id=before.id or 0,
        href=f"{ALERTS_PATH}/{before.id}",
        verdict=before.verdict,
        reason=before.reason or "",
        closed_at=before.closed_at,
        closed_by=before.closed_by or "",
    )


def _grouped_by(alert: Alert) -> tuple[tuple[str, str], ...]:
    shared = [
        ("rule", alert.rule_name),
        ("host", alert.host),
        ("container", alert.container_id or alert.container),
        ("account", alert.user_name),
        ("process name", alert.process_name),
        ("destination", alert.destination),
    ]
    return tuple((label, value) for label, value in shared if value)


def build_guide_view(
    session: Session, alert: Alert, rule: Rule | None, requested_part: str
) -> GuideView:
    """One part of the guide with its ticks; an alert whose rule is gone has an empty one."""
    part = parse_guide_part(requested_part)
    here = f"{ALERTS_PATH}/{alert.id}"
    ticks = alerts.guide_ticks(session, alert.id or 0)
    parts = rule.guide.parts if rule else ()
    tabs = []
    for one in parts:
        done = sum((str(one.name), step.key) in ticks for step in one.steps)
        label = f"{PART_LABELS[one.name]} {done}/{len(one.steps)}"
        tabs.append(Tab(label, urls.href(here, guide=one.name), one.name is part))
    chosen = next((one for one in parts if one.name is part), None)
    return GuideView(
        part=str(part),
        tabs=tuple(tabs),
        introduction_html=str(MARKDOWN.to_html(chosen.text)) if chosen and chosen.text else "",
        steps=_guide_steps(alert, chosen, ticks) if chosen else (),
        rule_name=alert.rule_name,
        rule_href=f"/rules/{alert.rule_id}",
    )


def _guide_steps(
    alert: Alert, part: GuidePart, ticks: Mapping[tuple[str, str], GuideTick]
) -> tuple[GuideStepView, ...]:
    steps = []
    for step in part.steps:
        tick = ticks.get((str(part.name), step.key))
        fields = ",".join(step.exclusion_fields)
        steps.append(
            GuideStepView(
                key=step.key,
                html=str(MARKDOWN.to_html(step.markdown)),
                done=tick is not None,
                done_by=tick.actor if tick else None,
                done_at=tick.at if tick else None,
                tick_action=f"{ALERTS_PATH}/{alert.id}/guide/{step.key}",
                exclude_href=urls.href("/exclusions/new", alert=alert.id, fields=fields)
                if fields
                else None,
            )
        )
    return tuple(steps)


def _match_page(
    session: Session, alert: Alert, query: Mapping[str, str]
) -> tuple[tuple[MatchRow, ...], int | None]:
    """A page of matches, and the id before which the next page goes on."""
    before = query.get("before", "")
    found = matches.list_by_alert(
        session,
        alert.id or 0,
        before=urls.parse_row_id(before),
        limit=MATCHES_PAGE_SIZE + 1,
    )
    rows = found[:MATCHES_PAGE_SIZE]
    agents = api_keys.names_by_id(session, (match.key_id for match in rows))
    older = rows[-1].id if len(found) > MATCHES_PAGE_SIZE else None
    return tuple(_match_row(match, agents) for match in rows), older


def _match_row(match: Match, agents: Mapping[int, str]) -> MatchRow:
    event = parse_match_event(match)
    return MatchRow(
        id=match.id or 0,
        received_at=match.received_at,
        occurred_at=match.occurred_at,
        clock_skew=clock_skew_text(match.received_at, match.occurred_at),
        command_line=event.process.command_line[:500],
        pid=event.process.pid,
        agent=agents.get(match.key_id, "a removed key"),
        raw_href=f"/matches/{match.id}/event.json",
    )


def clock_skew_text(received_at: datetime, occurred_at: datetime | None) -> str | None:
    """How far an event's own clock is from the receipt, when that is more than travel explains."""
    if occurred_at is None or abs(received_at - occurred_at) < CLOCK_SKEW_THRESHOLD:
        return None
    seconds = (received_at - occurred_at).total_seconds()
    told = format_relative_time(abs(seconds)).removesuffix(" ago")
    return f"{told} ahead" if seconds < 0 else f"{told} behind"


_ACTIVITY_TEXTS = {
    "opened": "opened this alert",
    "acknowledged": "acknowledged it",
    "reopened": "reopened it",
    "commented": "commented",
    "excluded": "made an exclusion from it",
}


def _activity_row(row: AlertActivity) -> ActivityRow:
    match row.kind:
        case "closed":
            text = f"closed it as {row.after}"
        case "assigned":
            text = f"assigned it to {row.after}" if row.after else "took it from its assignee"
        case "ticked" | "unticked":
            done = "did" if row.kind == "ticked" else "took back"
            text = f"{done} the step “{row.after}”"
        case "opened" if row.before:
            text = f"opened this alert; the one before, #{row.before}, was a {row.after}"
        case _:
            text = _ACTIVITY_TEXTS.get(row.kind, row.kind)
    return ActivityRow(
        actor=row.actor,
        at=row.at,
        text=text,
        comment=row.comment,
        is_automatic=row.actor == "Deckwatch",
    )
