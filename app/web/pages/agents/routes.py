"""Agents: their keys, when they last spoke, what of theirs could not be read, how to connect one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import api_keys as actions
from app.domain.errors import Conflict, InvalidInput, NotFound
from app.domain.principal import Principal, Role
from app.domain.text import escape_unstorable
from app.store import api_keys, quarantine, traffic
from app.store.database import Session
from app.store.quarantine import QuarantineFilter
from app.store.traffic import KeyTraffic
from app.web import urls
from app.web.access import Admin, Analyst
from app.web.components import Chip, Tab
from app.web.forms import FormDep
from app.web.key_states import (
    KeyState,
    clock_skew_chip,
    counts_by_minute,
    estimate_clock_skew,
    floor_to_minute,
    format_capped_count,
    key_states,
    newest_samples,
    sparkline_points,
)
from app.web.page_frame import Notice
from app.web.page_response import render_page, see_other
from app.web.pages.agents.connect import (
    connect_instructions,
    connect_steps,
    connect_tabs,
    parse_agent_kind,
)
from app.web.pages.agents.context import AgentsPage, KeyRow, NewKey, Stat
from app.web.pages.quarantine.context import QUARANTINE_PATH
from app.web.pages.quarantine.routes import build_quarantine_rows
from app.web.services import Services, ServicesDep
from app.web.urls import RowId

AGENTS_PATH = "/agents"
PAGE_SIZE = 25
QUARANTINE_ROWS_LIMIT = 4
# Matches of a key that its clock is judged by in the list.
SAMPLE_LIMIT = 20
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
router = APIRouter()

KEY_ROLES = (
    (str(Role.AGENT), "sends events, reads nothing"),
    (str(Role.ANALYST), "works on alerts through the API"),
    (str(Role.ADMIN), "also approves exclusions"),
)

STATE_FILTERS = {
    "": "All",
    "look": "Need a look",
    "fine": "Fine",
    "api": "For the API",
    "revoked": "Revoked",
}


def _state_filter(one: KeyState) -> str:
    if one.key.revoked_at is not None:
        return "revoked"
    if one.needs_attention:
        return "look"
    return "fine" if one.key.role == Role.AGENT else "api"


@dataclass(frozen=True, slots=True)
class FormInput:
    """What the form for a new key held, and what came of it."""

    name: str = ""
    name_error: str | None = None
    role: str = str(Role.AGENT)
    new_key: NewKey | None = None
    connect_kind: str | None = None


@router.get(AGENTS_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    return _render(request, principal, services, FormInput())


def _render(
    request: Request,
    principal: Principal,
    services: Services,
    form_input: FormInput,
    status: int = 200,
) -> Response:
    query = {name: value for name, value in request.query_params.items() if value}
    now = services.clock()
    with services.database.read() as session:
        listed = _KeyList(key_states(session, now), query)
        rows = _rows(session, listed.rows, principal, now)
        newest = quarantine.search(session, QuarantineFilter(), QUARANTINE_ROWS_LIMIT).ids
        kept = build_quarantine_rows(session, newest)
        total = quarantine.count(session)
        figures = _stats(session, listed.states, now)
    kind = parse_agent_kind(
        query.get("connect", "") if form_input.connect_kind is None else form_input.connect_kind
    )
    made = form_input.new_key
    key = made.key if made and made.role == Role.AGENT else None
    base = services.settings.base_url
    context = AgentsPage(
        stats=(*figures, Stat("in quarantine", format_capped_count(total))),
        keys=rows,
        has_keys=bool(listed.states),
        tabs=listed.tabs(),
        q=listed.q,
        hidden_inputs=(("show", listed.state_filter),) if listed.state_filter else (),
        action=AGENTS_PATH,
        clear_href=urls.href(AGENTS_PATH, show=listed.state_filter) if listed.q else None,
        summary=listed.summary(),
        newer_href=listed.page_href(listed.page_number - 1) if listed.page_number > 1 else None,
        older_href=listed.page_href(listed.page_number + 1) if listed.has_more else None,
        refresh_href=listed.page_href(listed.page_number),
        can_manage=principal.has_role(Role.ADMIN),
        create_action=f"{AGENTS_PATH}/keys",
        name=form_input.name,
        name_error=form_input.name_error,
        role_options=KEY_ROLES,
        selected_role=form_input.role,
        new_key=made,
        connect_kind=kind,
        connect_tabs=connect_tabs(AGENTS_PATH, kind),
        connect_steps=connect_steps(kind, base, None),
        connect_instructions=connect_instructions(kind, base, key) if key else (),
        quarantine=kept,
        quarantine_total=format_capped_count(total),
        quarantine_href=QUARANTINE_PATH,
    )
    return render_page(
        request, principal, "pages/agents.html", context, title="Agents", status=status
    )


class _KeyList:
    """One page of those keys that the query asks for. Keys are few, since people make each of them."""

    def __init__(self, states: Sequence[KeyState], query: dict[str, str]) -> None:
        self.states = states
        self.q = escape_unstorable(query.get("q", "").strip())[:100]
        asked = query.get("show", "")
        self.state_filter = asked if asked in STATE_FILTERS else ""
        named = [one for one in states if self.q.casefold() in one.key.name.casefold()]
        self._counts = {"": len(named)}
        for one in named:
            self._counts[_state_filter(one)] = self._counts.get(_state_filter(one), 0) + 1
        self._matching = [one for one in named if self.state_filter in ("", _state_filter(one))]
        last = max(1, -(-len(self._matching) // PAGE_SIZE))
        self.page_number = min(max(urls.parse_row_id(query.get("page", "")) or 1, 1), last)
        self.has_more = self.page_number < last
        start = (self.page_number - 1) * PAGE_SIZE
        self.rows = self._matching[start : start + PAGE_SIZE]

    def tabs(self) -> tuple[Tab, ...]:
        return tuple(
            Tab(
                label, urls.href(AGENTS_PATH, q=self.q, show=show), show == self.state_filter, count
            )
            for show, label in STATE_FILTERS.items()
            if (count := self._counts.get(show, 0)) or show in ("", self.state_filter)
        )

    def page_href(self, number: int) -> str:
        return urls.href(
            AGENTS_PATH, q=self.q, show=self.state_filter, page=number if number > 1 else None
        )

    def summary(self) -> str:
        total = len(self._matching)
        if total <= PAGE_SIZE:
            return ""
        start = (self.page_number - 1) * PAGE_SIZE
        return f"{start + 1:,} to {start + len(self.rows):,} of {total:,} keys"


def _stats(session: Session, states: Sequence[KeyState], now: datetime) -> tuple[Stat, ...]:
    agents = [one.id for one in states if one.key.role == Role.AGENT]
    end = floor_to_minute(now)
    hour = traffic.totals_by_key(session, agents, since=end - HOUR).values()
    received = sum(one.counts.received for one in hour)
    silent = sum(1 for one in states if one.state == "silent")
    return (
        Stat(
            "events a minute, last hour",
            f"{received / 60:,.0f}" if received >= 600 else f"{received / 60:,.1f}",
        ),
        Stat("matches, last hour", f"{sum(one.counts.matched for one in hour):,}"),
        Stat("rejected, last hour", f"{sum(one.counts.rejected for one in hour):,}"),
        Stat("silent", f"{silent:,}"),
    )


def _rows(
    session: Session, states: Sequence[KeyState], principal: Principal, now: datetime
) -> tuple[KeyRow, ...]:
    ids = [one.id for one in states]
    sent = traffic.totals_by_key(session, ids, since=now - DAY)
    end = floor_to_minute(now)
    minutes = traffic.minutes_by_key(session, ids, since=end - HOUR)
    samples = newest_samples(session, sent, SAMPLE_LIMIT)
    rows = []
    for one in states:
        rates = counts_by_minute({m.start: m.received for m in minutes.get(one.id, ())}, end, 60)
        row = _row(one, sent.get(one.id), principal)
        chip = clock_skew_chip(estimate_clock_skew(samples.get(one.id, ())))
        rows.append(
            replace(
                row,
                sparkline_points=sparkline_points(rates) if any(rates) else None,
                chips=(*row.chips, chip) if chip else row.chips,
            )
        )
    return tuple(rows)


def _row(one: KeyState, sent: KeyTraffic | None, principal: Principal) -> KeyRow:
    key = one.key
    manages = principal.has_role(Role.ADMIN) and key.revoked_at is None
    return KeyRow(
        id=one.id,
        name=key.name,
        href=f"{AGENTS_PATH}/{one.id}",
        role=key.role,
        hint=key.hint,
        last_seen=one.last_seen_at,
        silent=one.state == "silent",
        received=sent.counts.received if sent else 0,
        matched=sent.counts.matched if sent else 0,
        rejected=sent.counts.rejected if sent else 0,
        sparkline_points=None,
        chips=(Chip(one.state, one.tone),),
        revoke_action=f"{AGENTS_PATH}/keys/{one.id}/revoke" if manages else None,
    )


@router.post(AGENTS_PATH + "/keys")
def create(request: Request, principal: Admin, services: ServicesDep, form: FormDep) -> Response:
    """The key is in this answer and nowhere else, so it is shown without going elsewhere first."""
    form.allow_fields("name", "role", "connect")
    role = next((role for role in Role if role == form["role"]), None)
    if role is None:
        raise InvalidInput({"role": "Choose a role: " + ", ".join(Role) + "."})
    connect = form["connect"]
    try:
        key, text = actions.create(
            services.database, form["name"], role, principal=principal, at=services.clock()
        )
    except InvalidInput as error:
        problem = error.fields.get("name", str(error))
        form_input = FormInput(form["name"], problem, role=str(role), connect_kind=connect)
        return _render(request, principal, services, form_input, 422)
    made = FormInput(new_key=NewKey(key.name, text, key.role), connect_kind=connect)
    return _render(request, principal, services, made, 201)


@router.post(AGENTS_PATH + "/keys/{key_id}/revoke")
def revoke(
    request: Request, key_id: RowId, principal: Admin, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields()
    with services.database.read() as session:
        name = api_keys.names_by_id(session, [key_id]).get(key_id)
    if name is None:
        raise NotFound("There is no such key.")
    try:
        actions.revoke(services.database, name, principal=principal, at=services.clock())
    except Conflict as error:
        return see_other(request, AGENTS_PATH, Notice("warning", str(error)))
    services.api_key_cache.clear()
    return see_other(
        request, AGENTS_PATH, Notice("done", f"The key {name} is refused from now on.")
    )
