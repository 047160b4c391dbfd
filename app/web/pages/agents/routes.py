"""Agents page: API keys and their state, newest quarantined events, and instructions to connect agents."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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
from app.store.traffic import TrafficCounts
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
    key_states,
    newest_samples,
    sparkline_points,
)
from app.web.number_format import format_capped_count
from app.web.page_frame import Notice
from app.web.page_response import render_page, see_other
from app.web.pages.agents.connect import (
    connect_instructions,
    connect_steps,
    connect_tabs,
    parse_agent_kind,
)
from app.web.pages.agents.context import AgentsPage, KeyRow, NewKey, Stat
from app.web.quarantine_rows import QUARANTINE_PATH, build_quarantine_rows
from app.web.services import Services, ServicesDep
from app.web.urls import RowId

AGENTS_PATH = "/agents"
PAGE_SIZE = 25
QUARANTINE_ROWS_LIMIT = 4
# The list estimates the clock skew of a key from at most this many matches.
SAMPLE_LIMIT = 20
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
router = APIRouter()

KEY_ROLES = (
    (str(Role.AGENT), "sends events, cannot read"),
    (str(Role.ANALYST), "works on alerts through the API"),
    (str(Role.ADMIN), "also approves exclusions"),
)

STATE_FILTERS = {
    "": "All",
    "look": "Need attention",
    "fine": "Active",
    "api": "API clients",
    "revoked": "Revoked",
}


def _state_filter(state: KeyState) -> str:
    if state.key.revoked_at is not None:
        return "revoked"
    if state.needs_attention:
        return "look"
    return "fine" if state.key.role == Role.AGENT else "api"


@dataclass(frozen=True, slots=True)
class FormInput:
    """The values of the form for a new key, and the result of the form: an error or the new key."""

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
        key_list = _KeyList(key_states(session, now), query)
        key_rows = _key_rows(session, key_list.page, principal, now)
        newest_ids = quarantine.search(session, QuarantineFilter(), QUARANTINE_ROWS_LIMIT).ids
        quarantine_rows = build_quarantine_rows(session, newest_ids)
        quarantine_total = format_capped_count(quarantine.count(session), quarantine.COUNT_LIMIT)
        stats = _stats(session, key_list.states, now)
    kind = parse_agent_kind(
        query.get("connect", "") if form_input.connect_kind is None else form_input.connect_kind
    )
    new_key = form_input.new_key
    agent_key = new_key.key if new_key and new_key.role == Role.AGENT else None
    base_url = services.settings.base_url
    number = key_list.page_number
    context = AgentsPage(
        stats=(*stats, Stat("events in quarantine", quarantine_total)),
        keys=key_rows,
        has_keys=bool(key_list.states),
        tabs=key_list.tabs(),
        q=key_list.q,
        hidden_inputs=(("show", key_list.state_filter),) if key_list.state_filter else (),
        action=AGENTS_PATH,
        clear_href=urls.href(AGENTS_PATH, show=key_list.state_filter) if key_list.q else None,
        summary=key_list.summary(),
        newer_href=key_list.page_href(number - 1) if number > 1 else None,
        older_href=key_list.page_href(number + 1) if key_list.has_more else None,
        refresh_href=key_list.page_href(number),
        can_manage=principal.has_role(Role.ADMIN),
        create_action=f"{AGENTS_PATH}/keys",
        name=form_input.name,
        name_error=form_input.name_error,
        role_options=KEY_ROLES,
        selected_role=form_input.role,
        new_key=new_key,
        connect_kind=kind,
        connect_tabs=connect_tabs(AGENTS_PATH, kind),
        connect_steps=connect_steps(kind, base_url, None),
        connect_instructions=connect_instructions(kind, base_url, agent_key) if agent_key else (),
        quarantine=quarantine_rows,
        quarantine_total=quarantine_total,
        quarantine_href=QUARANTINE_PATH,
    )
    return render_page(
        request, principal, "pages/agents.html", context, title="Agents", status=status
    )


class _KeyList:
    """One page of the keys that match the query.

    The keys are filtered in memory, because there are few: admins create each key by hand.
    """

    def __init__(self, states: Sequence[KeyState], query: dict[str, str]) -> None:
        self.states = states
        self.q = escape_unstorable(query.get("q", "").strip())[:100]
        state_filter = query.get("show", "")
        self.state_filter = state_filter if state_filter in STATE_FILTERS else ""
        named = [state for state in states if self.q.casefold() in state.key.name.casefold()]
        self._counts = Counter(_state_filter(state) for state in named)
        self._counts[""] = len(named)
        self._matching = [
            state for state in named if self.state_filter in ("", _state_filter(state))
        ]
        last_page = max(1, -(-len(self._matching) // PAGE_SIZE))
        self.page_number = min(max(urls.parse_row_id(query.get("page", "")) or 1, 1), last_page)
        self.has_more = self.page_number < last_page
        self._start = (self.page_number - 1) * PAGE_SIZE
        self.page = self._matching[self._start : self._start + PAGE_SIZE]

    def tabs(self) -> tuple[Tab, ...]:
        return tuple(
            Tab(
                label, urls.href(AGENTS_PATH, q=self.q, show=show), show == self.state_filter, count
            )
            for show, label in STATE_FILTERS.items()
            if (count := self._counts[show]) or show in ("", self.state_filter)
        )

    def page_href(self, number: int) -> str:
        return urls.href(
            AGENTS_PATH, q=self.q, show=self.state_filter, page=number if number > 1 else None
        )

    def summary(self) -> str:
        total = len(self._matching)
        if total <= PAGE_SIZE:
            return ""
        return f"{self._start + 1:,} to {self._start + len(self.page):,} of {total:,} keys"


def _stats(session: Session, states: Sequence[KeyState], now: datetime) -> tuple[Stat, ...]:
    agent_ids = [state.id for state in states if state.key.role == Role.AGENT]
    since = floor_to_minute(now) - HOUR
    hour = traffic.totals_by_key(session, agent_ids, since=since).values()
    received = sum(sent.counts.received for sent in hour)
    silent = sum(state.is_silent for state in states)
    return (
        Stat(
            "events per minute, last hour",
            f"{received / 60:,.0f}" if received >= 600 else f"{received / 60:,.1f}",
        ),
        Stat("matches, last hour", f"{sum(sent.counts.matched for sent in hour):,}"),
        Stat("rejected, last hour", f"{sum(sent.counts.rejected for sent in hour):,}"),
        Stat("silent agents", f"{silent:,}"),
    )


def _key_rows(
    session: Session, states: Sequence[KeyState], principal: Principal, now: datetime
) -> tuple[KeyRow, ...]:
    ids = [state.id for state in states]
    traffic_by_key = traffic.totals_by_key(session, ids, since=now - DAY)
    end = floor_to_minute(now)
    minutes = traffic.minutes_by_key(session, ids, since=end - HOUR)
    samples = newest_samples(session, traffic_by_key, SAMPLE_LIMIT)
    is_admin = principal.has_role(Role.ADMIN)
    rows = []
    for state in states:
        received = {minute.start: minute.received for minute in minutes.get(state.id, ())}
        rates = counts_by_minute(received, end, 60)
        sent = traffic_by_key.get(state.id)
        skew_chip = clock_skew_chip(estimate_clock_skew(samples.get(state.id, ())))
        can_revoke = is_admin and state.key.revoked_at is None
        rows.append(
            KeyRow(
                state=state,
                counts=sent.counts if sent else TrafficCounts(),
                sparkline_points=sparkline_points(rates) if any(rates) else None,
                chips=(Chip(state.label, state.tone), *((skew_chip,) if skew_chip else ())),
                revoke_action=f"{AGENTS_PATH}/keys/{state.id}/revoke" if can_revoke else None,
            )
        )
    return tuple(rows)


@router.post(AGENTS_PATH + "/keys")
def create(request: Request, principal: Admin, services: ServicesDep, form: FormDep) -> Response:
    """Create a key and show the key in the response to the form post.

    The database stores only a hash of the key. After a redirect, the next page could not show the key.
    """
    form.allow_fields("name", "role", "connect")
    role = next((role for role in Role if role == form["role"]), None)
    if role is None:
        raise InvalidInput({"role": "Choose a role: " + ", ".join(Role) + "."})
    connect_kind = form["connect"]
    try:
        key, text = actions.create(
            services.database, form["name"], role, principal=principal, at=services.clock()
        )
    except InvalidInput as error:
        name_error = error.fields.get("name", str(error))
        form_input = FormInput(form["name"], name_error, str(role), connect_kind=connect_kind)
        return _render(request, principal, services, form_input, 422)
    created = FormInput(new_key=NewKey(key.name, text, key.role), connect_kind=connect_kind)
    return _render(request, principal, services, created, 201)


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
        request,
        AGENTS_PATH,
        Notice("done", f"Key {name} revoked. Requests with it are refused from now on."),
    )
