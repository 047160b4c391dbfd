"""Filling the page of one alert from the store and from the event that it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.detection.rule import Rule
from app.domain.alert import Move, Status, Verdict, moves
from app.domain.guide import Part
from app.store import alerts, keys, matches, people
from app.store.database import Session
from app.store.tables import Activity, Alert, GuideTick, Match
from app.web import urls
from app.web.pages import alert_event
from app.web.pages.alert_context import (
    ActivityRow,
    AlertPage,
    ClosingForm,
    GuideView,
    MatchRow,
    PreviousAlert,
    StepView,
)
from app.web.pages.alerts import PATH
from app.web.pages.guide import PART_LABELS, part_named
from app.web.rendering import MARKDOWN, distance
from app.web.services import Services
from app.web.shell import Option, Tab

MATCHES_SHOWN = 20
# Less is the time an event takes to travel.
SKEW_WORTH_SAYING = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Typed:
    """What a form that was refused had held, and why."""

    closing: ClosingForm = field(default_factory=ClosingForm)
    closing_open: bool = False
    comment: str = ""
    comment_problem: str | None = None
    conflict: str | None = None


def case(
    session: Session,
    services: Services,
    alert: Alert,
    query: Mapping[str, str],
    typed: Typed,
) -> AlertPage:
    """`query` may hold `guide` (a part) and `before` (a match id, for older matches)."""
    rule = services.rule(alert.rule_id)
    shown = matches.shown(session, alert)
    event = alert_event.event_of(shown) if shown else None
    here = f"{PATH}/{alert.id}"
    possible = moves(Status(alert.status))
    assignee = people.names(session, [alert.assignee_id]).get(alert.assignee_id or 0)
    page_of_matches, older = _matches(session, alert, query)
    return AlertPage(
        id=alert.id or 0,
        href=here,
        version=alert.version,
        status=alert.status,
        severity=alert.severity,
        priority=alert.priority,
        priority_parts=tuple((part["why"], int(part["points"])) for part in alert.priority_parts),
        priority_held=sum(int(part["points"]) for part in alert.priority_parts) != alert.priority,
        headline=alert.headline,
        rule_name=alert.rule_name,
        rule_href=f"/rules/{alert.rule_id}",
        explain_href=urls.href("/explain", alert=alert.id, rule=alert.rule_id),
        first_seen=alert.first_seen,
        last_seen=alert.last_seen,
        match_count=alert.match_count,
        assignee=assignee,
        people=_people(session, assignee),
        verdict=alert.verdict,
        reason=alert.reason,
        closed_by=alert.closed_by,
        closed_at=alert.closed_at,
        can_acknowledge=Move.ACKNOWLEDGE in possible,
        can_close=Move.CLOSE in possible,
        can_reopen=Move.REOPEN in possible,
        verdicts=tuple(Option(str(verdict), verdict.capitalize()) for verdict in Verdict),
        closing=typed.closing,
        closing_open=typed.closing_open,
        conflict=typed.conflict,
        status_action=f"{here}/status",
        assign_action=f"{here}/assignee",
        comment_action=f"{here}/comments",
        comment=typed.comment,
        comment_problem=typed.comment_problem,
        exclude_href=urls.href("/exclusions/new", alert=alert.id) if rule else None,
        previous=_previous(session, alert),
        grouped_by=_grouped_by(alert),
        tokens=alert_event.tokens(event),
        command_note=alert_event.command_note(event),
        findings=alert_event.findings(event),
        lineage=alert_event.lineage(event),
        facts=alert_event.facts(alert, event),
        guide=guide_view(session, alert, rule, query.get("guide", "")),
        matches=page_of_matches,
        matches_older_href=urls.href(here, before=older) if older else None,
        matches_newest_href=here if query.get("before") else None,
        activity=tuple(_activity_row(row) for row in alerts.activity(session, alert.id or 0)),
        list_href=urls.href(PATH, status=None if alert.status == Status.OPEN else alert.status),
    )


def _people(session: Session, assignee: str | None) -> tuple[Option, ...]:
    nobody = Option("", "Nobody", assignee is None)
    return (
        nobody,
        *(Option(user.name, user.name, user.name == assignee) for user in people.active(session)),
    )


def _previous(session: Session, alert: Alert) -> PreviousAlert | None:
    before = alerts.get(session, alert.previous_id) if alert.previous_id else None
    if before is None or before.verdict is None or before.closed_at is None:
        return None
    return PreviousAlert(
        id=before.id or 0,
        href=f"{PATH}/{before.id}",
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


def guide_view(session: Session, alert: Alert, rule: Rule | None, wanted: str) -> GuideView:
    """One part of the guide with its ticks; an alert whose rule is gone has an empty one."""
    part = part_named(wanted)
    here = f"{PATH}/{alert.id}"
    ticks = alerts.ticks(session, alert.id or 0)
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
        introduction_html=str(MARKDOWN.html(chosen.text)) if chosen and chosen.text else "",
        steps=_steps(alert, chosen, ticks) if chosen else (),
        rule_name=alert.rule_name,
        rule_href=f"/rules/{alert.rule_id}",
    )


def _steps(
    alert: Alert, part: Part, ticks: Mapping[tuple[str, str], GuideTick]
) -> tuple[StepView, ...]:
    steps = []
    for step in part.steps:
        tick = ticks.get((str(part.name), step.key))
        fields = ",".join(step.exclude_fields)
        steps.append(
            StepView(
                key=step.key,
                html=str(MARKDOWN.html(step.markdown)),
                done=tick is not None,
                done_by=tick.actor if tick else None,
                done_at=tick.at if tick else None,
                tick_action=f"{PATH}/{alert.id}/guide/{step.key}",
                exclude_href=urls.href("/exclusions/new", alert=alert.id, fields=fields)
                if fields
                else None,
            )
        )
    return tuple(steps)


def _matches(
    session: Session, alert: Alert, query: Mapping[str, str]
) -> tuple[tuple[MatchRow, ...], int | None]:
    """A page of matches, and the id before which the next page goes on."""
    before = query.get("before", "")
    found = matches.of_alert(
        session,
        alert.id or 0,
        before=urls.number(before),
        limit=MATCHES_SHOWN + 1,
    )
    rows = found[:MATCHES_SHOWN]
    agents = keys.names(session, (match.key_id for match in rows))
    older = rows[-1].id if len(found) > MATCHES_SHOWN else None
    return tuple(_match_row(match, agents) for match in rows), older


def _match_row(match: Match, agents: Mapping[int, str]) -> MatchRow:
    event = alert_event.event_of(match)
    return MatchRow(
        id=match.id or 0,
        received_at=match.received_at,
        occurred_at=match.occurred_at,
        skewed=skew(match.received_at, match.occurred_at),
        command_line=event.process.command_line[:500],
        pid=event.process.pid,
        agent=agents.get(match.key_id, "a removed key"),
        raw_href=f"/matches/{match.id}/event.json",
    )


def skew(received_at: datetime, occurred_at: datetime | None) -> str | None:
    """How far an event's own clock is from the receipt, when that is more than travel explains."""
    if occurred_at is None or abs(received_at - occurred_at) < SKEW_WORTH_SAYING:
        return None
    seconds = (received_at - occurred_at).total_seconds()
    told = distance(abs(seconds)).removesuffix(" ago")
    return f"{told} ahead" if seconds < 0 else f"{told} behind"


_TOLD = {
    "opened": "opened this alert",
    "acknowledged": "acknowledged it",
    "reopened": "reopened it",
    "commented": "commented",
    "excluded": "made an exclusion from it",
}


def _activity_row(row: Activity) -> ActivityRow:
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
            text = _TOLD.get(row.kind, row.kind)
    return ActivityRow(
        who=row.actor,
        at=row.at,
        text=text,
        comment=row.comment,
        automatic=row.actor == "Deckwatch",
    )
