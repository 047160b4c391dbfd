"""Agents: their keys, when they last spoke, what of theirs could not be read, how to connect one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import keys as actions
from app.domain.errors import Conflict, Invalid, NotFound
from app.domain.roles import Principal, Role
from app.domain.text import storable
from app.store import keys, quarantine, traffic
from app.store.database import Session
from app.store.quarantine import QuarantineFilter
from app.store.traffic import Sent
from app.web import urls
from app.web.access import Admin, Analyst
from app.web.forms import Posted
from app.web.pages.agent_states import (
    KeyState,
    by_minute,
    counted,
    key_states,
    newest_samples,
    skew_chip,
    skew_of,
    spark,
    whole_minute,
)
from app.web.pages.agents_context import AgentsPage, Figure, KeyRow, NewKey
from app.web.pages.connect import connect_kinds, connect_steps, connect_tabs, kind_of
from app.web.pages.quarantine import rows_of
from app.web.pages.quarantine_context import PATH as QUARANTINE
from app.web.respond import page, see_other
from app.web.services import Parts, Services
from app.web.shell import Chip, Notice, Tab
from app.web.urls import RowId

PATH = "/agents"
PAGE_SIZE = 25
QUARANTINE_SHOWN = 4
# Matches of a key that its clock is judged by in the list.
SAMPLES = 20
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
router = APIRouter()

ROLES = (
    (str(Role.AGENT), "sends events, reads nothing"),
    (str(Role.ANALYST), "works on alerts through the API"),
    (str(Role.ADMIN), "also approves exclusions"),
)

SHOWN = {
    "": "All",
    "look": "Need a look",
    "fine": "Fine",
    "api": "For the API",
    "revoked": "Revoked",
}


def _group(one: KeyState) -> str:
    if one.key.revoked_at is not None:
        return "revoked"
    if one.needs_a_look:
        return "look"
    return "fine" if one.key.role == Role.AGENT else "api"


@dataclass(frozen=True, slots=True)
class Typed:
    """What the form for a new key held, and what came of it."""

    name: str = ""
    name_problem: str | None = None
    role: str = str(Role.AGENT)
    new_key: NewKey | None = None
    connect: str | None = None


@router.get(PATH)
def show(request: Request, who: Analyst, services: Parts) -> Response:
    return _page(request, who, services, Typed())


def _page(
    request: Request, who: Principal, services: Services, typed: Typed, status: int = 200
) -> Response:
    query = {name: value for name, value in request.query_params.items() if value}
    now = services.clock()
    with services.database.read() as session:
        listed = _List(key_states(session, now), query)
        rows = _rows(session, listed.rows, who, now)
        newest = quarantine.search(session, QuarantineFilter(), QUARANTINE_SHOWN).ids
        kept = rows_of(session, newest)
        total = quarantine.total(session)
        figures = _figures(session, listed.states, now)
    kind = kind_of(query.get("connect", "") if typed.connect is None else typed.connect)
    made = typed.new_key
    key = made.key if made and made.role == Role.AGENT else None
    base = services.settings.base_url
    context = AgentsPage(
        figures=(*figures, Figure("in quarantine", counted(total))),
        keys=rows,
        any_keys=bool(listed.states),
        tabs=listed.tabs(),
        q=listed.q,
        hidden=(("show", listed.show),) if listed.show else (),
        action=PATH,
        clear_href=urls.href(PATH, show=listed.show) if listed.q else None,
        summary=listed.summary(),
        newer_href=listed.page_href(listed.page - 1) if listed.page > 1 else None,
        older_href=listed.page_href(listed.page + 1) if listed.more else None,
        refresh_href=listed.page_href(listed.page),
        may_manage=who.may(Role.ADMIN),
        create_action=f"{PATH}/keys",
        name=typed.name,
        name_problem=typed.name_problem,
        roles=ROLES,
        role=typed.role,
        new_key=made,
        connect=kind,
        connect_tabs=connect_tabs(PATH, kind),
        connect_steps=connect_steps(kind, base, None),
        connect_kinds=connect_kinds(kind, base, key) if key else (),
        quarantine=kept,
        quarantine_total=counted(total),
        quarantine_href=QUARANTINE,
    )
    return page(request, who, "pages/agents.html", context, title="Agents", status=status)


class _List:
    """One page of those keys that the query asks for. Keys are few, since people make each of them."""

    def __init__(self, states: Sequence[KeyState], query: dict[str, str]) -> None:
        self.states = states
        self.q = storable(query.get("q", "").strip())[:100]
        asked = query.get("show", "")
        self.show = asked if asked in SHOWN else ""
        named = [one for one in states if self.q.casefold() in one.key.name.casefold()]
        self._counts = {"": len(named)}
        for one in named:
            self._counts[_group(one)] = self._counts.get(_group(one), 0) + 1
        self._fitting = [one for one in named if self.show in ("", _group(one))]
        last = max(1, -(-len(self._fitting) // PAGE_SIZE))
        self.page = min(max(urls.number(query.get("page", "")) or 1, 1), last)
        self.more = self.page < last
        start = (self.page - 1) * PAGE_SIZE
        self.rows = self._fitting[start : start + PAGE_SIZE]

    def tabs(self) -> tuple[Tab, ...]:
        return tuple(
            Tab(label, urls.href(PATH, q=self.q, show=show), show == self.show, count)
            for show, label in SHOWN.items()
            if (count := self._counts.get(show, 0)) or show in ("", self.show)
        )

    def page_href(self, number: int) -> str:
        return urls.href(PATH, q=self.q, show=self.show, page=number if number > 1 else None)

    def summary(self) -> str:
        total = len(self._fitting)
        if total <= PAGE_SIZE:
            return ""
        start = (self.page - 1) * PAGE_SIZE
        return f"{start + 1:,} to {start + len(self.rows):,} of {total:,} keys"


def _figures(session: Session, states: Sequence[KeyState], now: datetime) -> tuple[Figure, ...]:
    agents = [one.id for one in states if one.key.role == Role.AGENT]
    end = whole_minute(now)
    hour = traffic.sums(session, agents, since=end - HOUR).values()
    received = sum(one.traffic.received for one in hour)
    silent = sum(1 for one in states if one.state == "silent")
    return (
        Figure(
            "events a minute, last hour",
            f"{received / 60:,.0f}" if received >= 600 else f"{received / 60:,.1f}",
        ),
        Figure("matches, last hour", f"{sum(one.traffic.matched for one in hour):,}"),
        Figure("rejected, last hour", f"{sum(one.traffic.rejected for one in hour):,}"),
        Figure("silent", f"{silent:,}"),
    )


def _rows(
    session: Session, states: Sequence[KeyState], who: Principal, now: datetime
) -> tuple[KeyRow, ...]:
    ids = [one.id for one in states]
    sent = traffic.sums(session, ids, since=now - DAY)
    end = whole_minute(now)
    minutes = traffic.minutes(session, ids, since=end - HOUR)
    samples = newest_samples(session, sent, SAMPLES)
    rows = []
    for one in states:
        rates = by_minute({m.at: m.received for m in minutes.get(one.id, ())}, end, 60)
        row = _row(one, sent.get(one.id), who)
        chip = skew_chip(skew_of(samples.get(one.id, ())))
        rows.append(
            replace(
                row,
                spark=spark(rates) if any(rates) else None,
                chips=(*row.chips, chip) if chip else row.chips,
            )
        )
    return tuple(rows)


def _row(one: KeyState, sent: Sent | None, who: Principal) -> KeyRow:
    key = one.key
    manages = who.may(Role.ADMIN) and key.revoked_at is None
    return KeyRow(
        id=one.id,
        name=key.name,
        href=f"{PATH}/{one.id}",
        role=key.role,
        hint=key.hint,
        last_seen=one.seen_at,
        silent=one.state == "silent",
        received=sent.traffic.received if sent else 0,
        matched=sent.traffic.matched if sent else 0,
        rejected=sent.traffic.rejected if sent else 0,
        spark=None,
        chips=(Chip(one.state, one.tone),),
        revoke_action=f"{PATH}/keys/{one.id}/revoke" if manages else None,
    )


@router.post(PATH + "/keys")
def create(request: Request, who: Admin, services: Parts, form: Posted) -> Response:
    """The key is in this answer and nowhere else, so it is shown without going elsewhere first."""
    form.only("name", "role", "connect")
    role = next((role for role in Role if role == form["role"]), None)
    if role is None:
        raise Invalid({"role": "Choose a role: " + ", ".join(Role) + "."})
    connect = form["connect"]
    try:
        key, text = actions.create(
            services.database, form["name"], role, who=who, at=services.clock()
        )
    except Invalid as error:
        problem = error.fields.get("name", str(error))
        typed = Typed(form["name"], problem, role=str(role), connect=connect)
        return _page(request, who, services, typed, 422)
    made = Typed(new_key=NewKey(key.name, text, key.role), connect=connect)
    return _page(request, who, services, made, 201)


@router.post(PATH + "/keys/{key_id}/revoke")
def revoke(request: Request, key_id: RowId, who: Admin, services: Parts, form: Posted) -> Response:
    form.only()
    with services.database.read() as session:
        name = keys.names(session, [key_id]).get(key_id)
    if name is None:
        raise NotFound("There is no such key.")
    try:
        actions.revoke(services.database, name, who=who, at=services.clock())
    except Conflict as error:
        return see_other(request, PATH, Notice("warning", str(error)))
    services.keyring.forget()
    return see_other(request, PATH, Notice("done", f"The key {name} is refused from now on."))
