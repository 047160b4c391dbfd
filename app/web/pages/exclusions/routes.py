"""Exclusions: the list, and one with its versions and what it has hidden."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import exclusions as actions
from app.domain.errors import Conflict, NotFound
from app.domain.exclusion import find_field
from app.domain.principal import Principal, Role
from app.store import exclusions, matches
from app.store.database import Session
from app.store.exclusions import ExclusionHistory, State
from app.store.tables import ExclusionVersion, Match
from app.web import urls
from app.web.access import Admin, Analyst
from app.web.forms import Form, FormDep
from app.web.page_frame import Notice, Tab
from app.web.page_response import render_page, see_other
from app.web.pages.exclusions.context import (
    ConditionView,
    ExclusionPage,
    ExclusionRow,
    ExclusionsPage,
    SuppressedMatchRow,
    VersionView,
)
from app.web.paths import EXCLUSIONS_PATH
from app.web.services import Services, ServicesDep
from app.web.stored_event import parse_match_event
from app.web.urls import RowId

PAGE_SIZE = 50
SUPPRESSED_PAGE_SIZE = 20
router = APIRouter()


def condition_views(version: ExclusionVersion) -> tuple[ConditionView, ...]:
    views = []
    for condition in exclusions.conditions_of(version):
        field = find_field(condition.field)
        views.append(
            ConditionView(
                label=field.label if field else condition.field,
                field=condition.field,
                operator=str(condition.operator),
                values=condition.values,
                caution=field.warning if field else None,
            )
        )
    return tuple(views)


_TAB_STATES = {
    "live": (State.LIVE,),
    "proposed": (),  # whatever has a version that waits, live or not
    "past": (State.EXPIRED, State.ENDED, State.DECLINED),
    "all": tuple(State),
}
_TAB_LABELS = {"live": "Live", "proposed": "To review", "past": "Past", "all": "All"}


def _in_tab(history: ExclusionHistory, tab: str, at: datetime) -> bool:
    if tab == "proposed":
        return history.waiting is not None and history.record.ended_at is None
    return history.state(at) in _TAB_STATES[tab]


@router.get(EXCLUSIONS_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    tab = request.query_params.get("show", "live")
    tab = tab if tab in _TAB_STATES else "live"
    start = request.query_params.get("from", "")
    skip = int(start) if start.isascii() and start.isdigit() and len(start) < 10 else 0
    at = services.clock()
    with services.database.read() as session:
        everything = exclusions.list_all(session)
        hits = matches.suppression_counts(session)
    chosen = [history for history in everything if _in_tab(history, tab, at)]
    shown = chosen[skip : skip + PAGE_SIZE]
    more = len(chosen) > skip + PAGE_SIZE
    context = ExclusionsPage(
        tabs=tuple(
            Tab(
                _TAB_LABELS[name],
                urls.href(EXCLUSIONS_PATH, show=name),
                name == tab,
                sum(_in_tab(history, name, at) for history in everything),
            )
            for name in _TAB_STATES
        ),
        rows=tuple(_row(services, history, hits, at) for history in shown),
        new_href=f"{EXCLUSIONS_PATH}/new",
        first_href=urls.href(EXCLUSIONS_PATH, show=tab) if skip else None,
        older_href=urls.href(EXCLUSIONS_PATH, {"show": tab, "from": skip + PAGE_SIZE})
        if more
        else None,
        summary=f"{len(shown)} of {len(chosen)}" if chosen else "",
    )
    return render_page(request, principal, "pages/exclusions.html", context, title="Exclusions")


def _row(
    services: Services,
    history: ExclusionHistory,
    hits: Mapping[int, tuple[int, datetime]],
    at: datetime,
) -> ExclusionRow:
    told = history.live or history.newest
    count, last = hits.get(history.record.id or 0, (0, None))
    return ExclusionRow(
        id=history.record.id or 0,
        href=f"{EXCLUSIONS_PATH}/{history.record.id}",
        state=str(history.state(at)),
        rule_name=rule_name(services, history.record.rule_id),
        conditions=condition_views(told),
        reason=told.reason,
        owner=told.owner,
        ends_at=told.ends_at,
        suppressed_count=count,
        last_suppressed_at=last,
        proposed_by=told.proposed_by,
    )


def rule_name(services: Services, rule_id: str) -> str:
    rule = services.find_rule(rule_id)
    return rule.name if rule else f"a rule that is no longer loaded ({rule_id})"


@router.get(EXCLUSIONS_PATH + "/{exclusion_id}")
def show_exclusion(
    request: Request, exclusion_id: RowId, principal: Analyst, services: ServicesDep
) -> Response:
    return render_exclusion(request, principal, services, exclusion_id)


def render_exclusion(
    request: Request,
    principal: Principal,
    services: Services,
    exclusion_id: int,
    *,
    conflict: str | None = None,
    status: int = 200,
) -> Response:
    at = services.clock()
    with services.database.read() as session:
        history = exclusions.get(session, exclusion_id)
        if history is None:
            raise NotFound(f"There is no exclusion {exclusion_id}.")
        hits = matches.suppression_counts(session)
        hidden, older = _suppressed_page(session, exclusion_id, request.query_params)
    here = f"{EXCLUSIONS_PATH}/{exclusion_id}"
    state = history.state(at)
    decides = (
        principal.has_role(Role.ADMIN) and history.waiting is not None and state is not State.ENDED
    )
    ends = state is not State.ENDED and (principal.has_role(Role.ADMIN) or history.live is None)
    context = ExclusionPage(
        id=exclusion_id,
        state=str(state),
        rule_name=rule_name(services, history.record.rule_id),
        rule_href=f"/rules/{history.record.rule_id}",
        current_version=_version_view(history, history.live or history.newest),
        pending_version=_version_view(history, history.waiting)
        if history.waiting and history.live
        else None,
        versions=tuple(_version_view(history, version) for version in reversed(history.versions)),
        newest_version=history.record.newest_version,
        ended_by=history.record.ended_by,
        ended_at=history.record.ended_at,
        from_alert_href=f"/alerts/{history.record.from_alert_id}"
        if history.record.from_alert_id
        else None,
        from_alert_id=history.record.from_alert_id,
        edit_href=f"{here}/edit" if state is not State.ENDED else None,
        approve_action=f"{here}/approve" if decides else None,
        decline_action=f"{here}/decline" if decides else None,
        end_action=f"{here}/end" if ends else None,
        suppressed_count=hits.get(exclusion_id, (0, None))[0],
        suppressed_matches=hidden,
        suppressed_older_href=urls.href(here, before=older) if older else None,
        suppressed_newest_href=here if request.query_params.get("before") else None,
        conflict=conflict,
        list_href=EXCLUSIONS_PATH,
    )
    title = f"Exclusion {exclusion_id}"
    return render_page(
        request, principal, "pages/exclusion.html", context, title=title, status=status
    )


def _version_view(history: ExclusionHistory, version: ExclusionVersion) -> VersionView:
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
        is_live=version.version == history.record.live_version and history.record.ended_at is None,
    )


def _suppressed_page(
    session: Session, exclusion_id: int, query: Mapping[str, str]
) -> tuple[tuple[SuppressedMatchRow, ...], int | None]:
    before = query.get("before", "")
    found: Sequence[Match] = matches.list_by_exclusion(
        session,
        exclusion_id,
        before=urls.parse_row_id(before),
        limit=SUPPRESSED_PAGE_SIZE + 1,
    )
    rows = found[:SUPPRESSED_PAGE_SIZE]
    older = rows[-1].id if len(found) > SUPPRESSED_PAGE_SIZE else None
    return tuple(_suppressed_row(match) for match in rows), older


def _suppressed_row(match: Match) -> SuppressedMatchRow:
    event = parse_match_event(match)
    return SuppressedMatchRow(
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


@router.post(EXCLUSIONS_PATH + "/{exclusion_id}/approve")
def approve(
    request: Request, exclusion_id: RowId, principal: Admin, services: ServicesDep, form: FormDep
) -> Response:
    return _decide(request, exclusion_id, principal, services, form, approves=True)


@router.post(EXCLUSIONS_PATH + "/{exclusion_id}/decline")
def decline(
    request: Request, exclusion_id: RowId, principal: Admin, services: ServicesDep, form: FormDep
) -> Response:
    return _decide(request, exclusion_id, principal, services, form, approves=False)


def _decide(
    request: Request,
    exclusion_id: int,
    principal: Principal,
    services: Services,
    form: Form,
    *,
    approves: bool,
) -> Response:
    form.allow_fields("version")
    try:
        actions.decide(
            services.database,
            exclusion_id,
            approve=approves,
            version=form.get_int("version"),
            principal=principal,
            at=services.clock(),
        )
    except Conflict as error:
        return render_exclusion(
            request, principal, services, exclusion_id, conflict=str(error), status=409
        )
    told = "Approved: it hides such matches from now on." if approves else "Declined."
    return see_other(request, f"{EXCLUSIONS_PATH}/{exclusion_id}", Notice("done", told))


@router.post(EXCLUSIONS_PATH + "/{exclusion_id}/end")
def end(
    request: Request, exclusion_id: RowId, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("version")
    try:
        actions.end(
            services.database,
            exclusion_id,
            version=form.get_int("version"),
            principal=principal,
            at=services.clock(),
        )
    except Conflict as error:
        return render_exclusion(
            request, principal, services, exclusion_id, conflict=str(error), status=409
        )
    told = "Ended: the next such match raises an alert again."
    return see_other(request, f"{EXCLUSIONS_PATH}/{exclusion_id}", Notice("done", told))
