"""Routes of the exclusion list and of the exclusion page, with the actions approve, decline and end."""

from collections.abc import Mapping
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
from app.store.tables import ExclusionVersion
from app.web import urls
from app.web.access import Admin, Analyst
from app.web.components import Tab
from app.web.forms import Form, FormDep
from app.web.page_frame import Notice
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
_TAB_LABELS = {"live": "Live", "proposed": "To review", "past": "Inactive", "all": "All"}
_INACTIVE_STATES = (State.EXPIRED, State.ENDED, State.DECLINED)
router = APIRouter()


def _condition_views(version: ExclusionVersion) -> tuple[ConditionView, ...]:
    views = []
    for condition in exclusions.conditions_of(version):
        field = find_field(condition.field)
        views.append(
            ConditionView(
                label=field.label if field else condition.field,
                operator=str(condition.operator),
                values=condition.values,
                caution=field.warning if field else None,
            )
        )
    return tuple(views)


def _in_tab(history: ExclusionHistory, tab: str, at: datetime) -> bool:
    if tab == "proposed":  # a live exclusion can also have a version that waits for approval
        return history.waiting is not None and history.record.ended_at is None
    if tab == "live":
        return history.state(at) is State.LIVE
    return tab == "all" or history.state(at) in _INACTIVE_STATES


@router.get(EXCLUSIONS_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    tab = request.query_params.get("show", "live")
    tab = tab if tab in _TAB_LABELS else "live"
    start = request.query_params.get("from", "")
    skip = int(start) if start.isascii() and start.isdigit() and len(start) < 10 else 0
    at = services.clock()
    with services.database.read() as session:
        histories = exclusions.list_all(session)
        hits = matches.suppression_counts(session)
    in_tab = [history for history in histories if _in_tab(history, tab, at)]
    page = in_tab[skip : skip + PAGE_SIZE]
    older_href = urls.href(EXCLUSIONS_PATH, {"show": tab, "from": skip + PAGE_SIZE})
    context = ExclusionsPage(
        tabs=tuple(
            Tab(
                label,
                urls.href(EXCLUSIONS_PATH, show=name),
                name == tab,
                sum(_in_tab(history, name, at) for history in histories),
            )
            for name, label in _TAB_LABELS.items()
        ),
        rows=tuple(_row(services, history, hits, at) for history in page),
        first_href=urls.href(EXCLUSIONS_PATH, show=tab) if skip else None,
        older_href=older_href if len(in_tab) > skip + PAGE_SIZE else None,
        summary=f"{len(page)} of {len(in_tab)} {'exclusion' if len(in_tab) == 1 else 'exclusions'}"
        if in_tab
        else "",
    )
    return render_page(request, principal, "pages/exclusions.html", context, title="Exclusions")


def _row(
    services: Services,
    history: ExclusionHistory,
    hits: Mapping[int, tuple[int, datetime]],
    at: datetime,
) -> ExclusionRow:
    version = history.live or history.newest
    count, last = hits.get(history.record.id or 0, (0, None))
    return ExclusionRow(
        record=history.record,
        version=version,
        conditions=_condition_views(version),
        state=history.state(at),
        rule_name=_rule_name(services, history.record.rule_id),
        suppressed_count=count,
        last_suppressed_at=last,
    )


def _rule_name(services: Services, rule_id: str) -> str:
    rule = services.find_rule(rule_id)
    return rule.name if rule else f"{rule_id} (no longer loaded)"


@router.get(EXCLUSIONS_PATH + "/{exclusion_id}")
def show_exclusion(
    request: Request, exclusion_id: RowId, principal: Analyst, services: ServicesDep
) -> Response:
    return _render_exclusion(request, principal, services, exclusion_id)


def _render_exclusion(
    request: Request,
    principal: Principal,
    services: Services,
    exclusion_id: int,
    *,
    conflict: str | None = None,
    status: int = 200,
) -> Response:
    with services.database.read() as session:
        history = exclusions.get(session, exclusion_id)
        if history is None:
            raise NotFound(f"There is no exclusion {exclusion_id}.")
        hits = matches.suppression_counts(session)
        rows, oldest_id = _suppressed_page(session, exclusion_id, request.query_params)
    path = f"{EXCLUSIONS_PATH}/{exclusion_id}"
    state = history.state(services.clock())
    is_admin = principal.has_role(Role.ADMIN)
    pending = history.waiting if history.live else None
    context = ExclusionPage(
        record=history.record,
        state=state,
        rule_name=_rule_name(services, history.record.rule_id),
        current_version=_version_view(history, history.live or history.newest),
        pending_version=_version_view(history, pending) if pending else None,
        versions=tuple(_version_view(history, version) for version in reversed(history.versions)),
        can_decide=is_admin and history.waiting is not None and state is not State.ENDED,
        can_end=state is not State.ENDED and (is_admin or history.live is None),
        suppressed_count=hits.get(exclusion_id, (0, None))[0],
        suppressed_matches=rows,
        suppressed_older_href=urls.href(path, before=oldest_id) if oldest_id else None,
        suppressed_newest_href=path if request.query_params.get("before") else None,
        conflict=conflict,
    )
    title = f"Exclusion {exclusion_id}"
    return render_page(
        request, principal, "pages/exclusion.html", context, title=title, status=status
    )


def _version_view(history: ExclusionHistory, version: ExclusionVersion) -> VersionView:
    is_live = version.version == history.record.live_version and history.record.ended_at is None
    return VersionView(version, _condition_views(version), is_live)


def _suppressed_page(
    session: Session, exclusion_id: int, query: Mapping[str, str]
) -> tuple[tuple[SuppressedMatchRow, ...], int | None]:
    """Return one page of suppressed matches, newest first, and the id of the last match on the page.

    The id is None if there are no older matches.
    """
    newest_first = matches.list_by_exclusion(
        session,
        exclusion_id,
        before=urls.parse_row_id(query.get("before", "")),
        limit=SUPPRESSED_PAGE_SIZE + 1,
    )
    page = newest_first[:SUPPRESSED_PAGE_SIZE]
    oldest_id = page[-1].id if len(newest_first) > SUPPRESSED_PAGE_SIZE else None
    return tuple(SuppressedMatchRow(match, parse_match_event(match)) for match in page), oldest_id


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
        return _render_exclusion(
            request, principal, services, exclusion_id, conflict=str(error), status=409
        )
    text = "Approved. The exclusion is live." if approves else "The proposed version was declined."
    return see_other(request, f"{EXCLUSIONS_PATH}/{exclusion_id}", Notice("done", text))


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
        return _render_exclusion(
            request, principal, services, exclusion_id, conflict=str(error), status=409
        )
    notice = Notice("done", "The exclusion has ended. Matching events open alerts again.")
    return see_other(request, f"{EXCLUSIONS_PATH}/{exclusion_id}", notice)
