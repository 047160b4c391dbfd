"""Exclusions: the list, and one with its versions and what it has hidden."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import exclusions as actions
from app.domain.errors import Conflict, NotFound
from app.domain.exclusion import field_named
from app.domain.roles import Principal, Role
from app.store import exclusions, matches
from app.store.database import Session
from app.store.exclusions import State, Whole
from app.store.tables import ExclusionVersion, Match
from app.web import urls
from app.web.access import Admin, Analyst
from app.web.forms import Form, Posted
from app.web.pages.alert_event import event_of
from app.web.pages.exclusions_context import (
    ConditionView,
    ExclusionPage,
    ExclusionRow,
    ExclusionsPage,
    HiddenMatch,
    VersionView,
)
from app.web.respond import page, see_other
from app.web.services import Parts, Services
from app.web.shell import Notice, Tab
from app.web.urls import RowId

PATH = "/exclusions"
PAGE_SIZE = 50
HIDDEN_SHOWN = 20
router = APIRouter()


def condition_views(version: ExclusionVersion) -> tuple[ConditionView, ...]:
    views = []
    for condition in exclusions.conditions_of(version):
        field = field_named(condition.field)
        views.append(
            ConditionView(
                label=field.label if field else condition.field,
                field=condition.field,
                operator=str(condition.operator),
                values=condition.values,
                caution=field.caution if field else None,
            )
        )
    return tuple(views)


_TABS = {
    "live": (State.LIVE,),
    "proposed": (),  # whatever has a version that waits, live or not
    "past": (State.EXPIRED, State.ENDED, State.DECLINED),
    "all": tuple(State),
}
_TAB_LABELS = {"live": "Live", "proposed": "To review", "past": "Past", "all": "All"}


def _in_tab(whole: Whole, tab: str, at: datetime) -> bool:
    if tab == "proposed":
        return whole.waiting is not None and whole.record.ended_at is None
    return whole.state(at) in _TABS[tab]


@router.get(PATH)
def show(request: Request, who: Analyst, services: Parts) -> Response:
    tab = request.query_params.get("show", "live")
    tab = tab if tab in _TABS else "live"
    start = request.query_params.get("from", "")
    skip = int(start) if start.isascii() and start.isdigit() and len(start) < 10 else 0
    at = services.clock()
    with services.database.read() as session:
        everything = exclusions.everything(session)
        hits = matches.suppressed_figures(session)
    chosen = [whole for whole in everything if _in_tab(whole, tab, at)]
    shown = chosen[skip : skip + PAGE_SIZE]
    more = len(chosen) > skip + PAGE_SIZE
    context = ExclusionsPage(
        tabs=tuple(
            Tab(
                _TAB_LABELS[name],
                urls.href(PATH, show=name),
                name == tab,
                sum(_in_tab(whole, name, at) for whole in everything),
            )
            for name in _TABS
        ),
        rows=tuple(_row(services, whole, hits, at) for whole in shown),
        new_href=f"{PATH}/new",
        first_href=urls.href(PATH, show=tab) if skip else None,
        older_href=urls.href(PATH, {"show": tab, "from": skip + PAGE_SIZE}) if more else None,
        summary=f"{len(shown)} of {len(chosen)}" if chosen else "",
    )
    return page(request, who, "pages/exclusions.html", context, title="Exclusions")


def _row(
    services: Services, whole: Whole, hits: Mapping[int, tuple[int, datetime]], at: datetime
) -> ExclusionRow:
    told = whole.live or whole.newest
    count, last = hits.get(whole.record.id or 0, (0, None))
    return ExclusionRow(
        id=whole.record.id or 0,
        href=f"{PATH}/{whole.record.id}",
        state=str(whole.state(at)),
        rule=rule_name(services, whole.record.rule_id),
        conditions=condition_views(told),
        reason=told.reason,
        owner=told.owner,
        ends_at=told.ends_at,
        hidden_count=count,
        last_hit=last,
        proposed_by=told.proposed_by,
    )


def rule_name(services: Services, rule_id: str) -> str:
    rule = services.rule(rule_id)
    return rule.name if rule else f"a rule that is no longer loaded ({rule_id})"


@router.get(PATH + "/{exclusion_id}")
def show_one(request: Request, exclusion_id: RowId, who: Analyst, services: Parts) -> Response:
    return one(request, who, services, exclusion_id)


def one(
    request: Request,
    who: Principal,
    services: Services,
    exclusion_id: int,
    *,
    conflict: str | None = None,
    status: int = 200,
) -> Response:
    at = services.clock()
    with services.database.read() as session:
        whole = exclusions.get(session, exclusion_id)
        if whole is None:
            raise NotFound(f"There is no exclusion {exclusion_id}.")
        hits = matches.suppressed_figures(session)
        hidden, older = _hidden(session, exclusion_id, request.query_params)
    here = f"{PATH}/{exclusion_id}"
    state = whole.state(at)
    decides = who.may(Role.ADMIN) and whole.waiting is not None and state is not State.ENDED
    ends = state is not State.ENDED and (who.may(Role.ADMIN) or whole.live is None)
    context = ExclusionPage(
        id=exclusion_id,
        state=str(state),
        rule_name=rule_name(services, whole.record.rule_id),
        rule_href=f"/rules/{whole.record.rule_id}",
        current=_version(whole, whole.live or whole.newest),
        waiting=_version(whole, whole.waiting) if whole.waiting and whole.live else None,
        versions=tuple(_version(whole, version) for version in reversed(whole.versions)),
        newest_version=whole.record.newest_version,
        ended_by=whole.record.ended_by,
        ended_at=whole.record.ended_at,
        from_alert_href=f"/alerts/{whole.record.from_alert_id}"
        if whole.record.from_alert_id
        else None,
        from_alert=whole.record.from_alert_id,
        edit_href=f"{here}/edit" if state is not State.ENDED else None,
        approve_action=f"{here}/approve" if decides else None,
        decline_action=f"{here}/decline" if decides else None,
        end_action=f"{here}/end" if ends else None,
        hidden_total=hits.get(exclusion_id, (0, None))[0],
        hidden=hidden,
        hidden_older_href=urls.href(here, before=older) if older else None,
        hidden_newest_href=here if request.query_params.get("before") else None,
        conflict=conflict,
        list_href=PATH,
    )
    title = f"Exclusion {exclusion_id}"
    return page(request, who, "pages/exclusion.html", context, title=title, status=status)


def _version(whole: Whole, version: ExclusionVersion) -> VersionView:
    return VersionView(
        number=version.version,
        conditions=condition_views(version),
        reason=version.reason,
        owner=version.owner,
        ends_at=version.ends_at,
        proposed_by=version.proposed_by,
        proposed_at=version.proposed_at,
        decision=version.decision,
        decided_by=version.decided_by,
        decided_at=version.decided_at,
        live=version.version == whole.record.live_version and whole.record.ended_at is None,
    )


def _hidden(
    session: Session, exclusion_id: int, query: Mapping[str, str]
) -> tuple[tuple[HiddenMatch, ...], int | None]:
    before = query.get("before", "")
    found: Sequence[Match] = matches.of_exclusion(
        session,
        exclusion_id,
        before=urls.number(before),
        limit=HIDDEN_SHOWN + 1,
    )
    rows = found[:HIDDEN_SHOWN]
    older = rows[-1].id if len(found) > HIDDEN_SHOWN else None
    return tuple(_hidden_row(match) for match in rows), older


def _hidden_row(match: Match) -> HiddenMatch:
    event = event_of(match)
    return HiddenMatch(
        id=match.id or 0,
        received_at=match.received_at,
        version=match.exclusion_version or 0,
        headline=event.headline,
        command_line=event.process.command_line[:500],
        container=event.container,
        host=event.host_name,
        user=event.user_name or event.user_id,
        raw_href=f"/matches/{match.id}/event.json",
    )


@router.post(PATH + "/{exclusion_id}/approve")
def approve(
    request: Request, exclusion_id: RowId, who: Admin, services: Parts, form: Posted
) -> Response:
    return _decide(request, exclusion_id, who, services, form, approves=True)


@router.post(PATH + "/{exclusion_id}/decline")
def decline(
    request: Request, exclusion_id: RowId, who: Admin, services: Parts, form: Posted
) -> Response:
    return _decide(request, exclusion_id, who, services, form, approves=False)


def _decide(
    request: Request,
    exclusion_id: int,
    who: Principal,
    services: Services,
    form: Form,
    *,
    approves: bool,
) -> Response:
    form.only("version")
    try:
        actions.decide(
            services.database,
            exclusion_id,
            approve=approves,
            version=form.number("version"),
            who=who,
            at=services.clock(),
        )
    except Conflict as error:
        return one(request, who, services, exclusion_id, conflict=str(error), status=409)
    told = "Approved: it hides such matches from now on." if approves else "Declined."
    return see_other(request, f"{PATH}/{exclusion_id}", Notice("done", told))


@router.post(PATH + "/{exclusion_id}/end")
def end(
    request: Request, exclusion_id: RowId, who: Analyst, services: Parts, form: Posted
) -> Response:
    form.only("version")
    try:
        actions.end(
            services.database,
            exclusion_id,
            version=form.number("version"),
            who=who,
            at=services.clock(),
        )
    except Conflict as error:
        return one(request, who, services, exclusion_id, conflict=str(error), status=409)
    told = "Ended: the next such match raises an alert again."
    return see_other(request, f"{PATH}/{exclusion_id}", Notice("done", told))
