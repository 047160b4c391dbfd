"""Agents: their keys, when they last spoke, what of theirs could not be read, how to connect one."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import keys as actions
from app.domain.errors import Conflict, Invalid, NotFound
from app.domain.roles import Principal, Role
from app.domain.text import visible
from app.store import keys, quarantine
from app.store.database import Session
from app.store.keys import Traffic
from app.store.tables import Key, Quarantine
from app.web import urls
from app.web.access import Admin, Analyst
from app.web.forms import Posted
from app.web.pages.connect import connect_steps, connect_tabs
from app.web.respond import page, see_other
from app.web.services import Parts, Services
from app.web.shell import ConnectStep, Notice, Tab
from app.web.urls import RowId

PATH = "/agents"
QUARANTINE_SHOWN = 10
BYTES_SHOWN = 300
# An agent that usually speaks every few seconds and has not for this long is worth a look.
SILENT_AFTER = timedelta(minutes=15)
router = APIRouter()


@dataclass(frozen=True, slots=True)
class KeyRow:
    """`state` is fine, never seen, silent, revoked or "N in quarantine"; counts are of the last 24 h."""

    id: int
    name: str
    role: str
    hint: str  # the last four characters of the key
    created_at: datetime
    created_by: str
    last_seen: datetime | None
    received: int
    matched: int
    rejected: int
    state: str
    tone: str
    revoke_action: str | None


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """`shown` is the beginning of the bytes as text, what is not UTF-8 as \\xNN."""

    id: int
    received_at: datetime
    agent: str
    reason: str
    size: int
    shown: str
    raw_href: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: shown this once."""

    name: str
    key: str
    role: str


@dataclass(frozen=True, slots=True)
class AgentsPage:
    """Blocks `keys` and `connect`. The new-key form posts csrf, name and role to create_action."""

    keys: tuple[KeyRow, ...]
    may_manage: bool
    create_action: str
    name: str
    name_problem: str | None
    roles: tuple[tuple[str, str], ...]  # (value, what it may do)
    role: str
    new_key: NewKey | None
    connect_tabs: tuple[Tab, ...]
    connect_steps: tuple[ConnectStep, ...]
    quarantine: tuple[QuarantineRow, ...]
    quarantine_total: int
    quarantine_older_href: str | None
    quarantine_newest_href: str | None
    refresh_href: str


ROLES = (
    (str(Role.AGENT), "sends events, reads nothing"),
    (str(Role.ANALYST), "works on alerts through the API"),
    (str(Role.ADMIN), "also approves exclusions"),
)


@dataclass(frozen=True, slots=True)
class Typed:
    """What the form for a new key held, and what came of it."""

    name: str = ""
    name_problem: str | None = None
    role: str = str(Role.AGENT)
    new_key: NewKey | None = None


@router.get(PATH)
def show(request: Request, who: Analyst, services: Parts) -> Response:
    return _page(request, who, services, Typed())


def _page(
    request: Request, who: Principal, services: Services, typed: Typed, status: int = 200
) -> Response:
    query = {name: value for name, value in request.query_params.items() if value}
    now = services.clock()
    with services.database.read() as session:
        rows = key_rows(session, who, now)
        kept, older = _quarantine(session, query)
        total = quarantine.total(session)
    kind = query.get("connect", "")
    key = typed.new_key.key if typed.new_key and typed.new_key.role == Role.AGENT else None
    context = AgentsPage(
        keys=rows,
        may_manage=who.may(Role.ADMIN),
        create_action=f"{PATH}/keys",
        name=typed.name,
        name_problem=typed.name_problem,
        roles=ROLES,
        role=typed.role,
        new_key=typed.new_key,
        connect_tabs=connect_tabs(PATH, kind),
        connect_steps=connect_steps(kind, services.settings.base_url, key),
        quarantine=kept,
        quarantine_total=total,
        quarantine_older_href=urls.href(PATH, before=older) if older else None,
        quarantine_newest_href=PATH if query.get("before") else None,
        refresh_href=PATH,
    )
    return page(request, who, "pages/agents.html", context, title="Agents", status=status)


def key_rows(session: Session, who: Principal, now: datetime) -> tuple[KeyRow, ...]:
    """Every key with what it sent in the last 24 hours, live ones first."""
    traffic = keys.traffic(session, since=now - timedelta(hours=24))
    kept = quarantine.counts(session)
    return tuple(
        _key_row(key, traffic.get(key.id or 0, Traffic()), kept.get(key.id or 0, 0), who, now)
        for key in keys.all_keys(session)
    )


def _key_row(key: Key, sent: Traffic, kept: int, who: Principal, now: datetime) -> KeyRow:
    state, tone = _state(key, sent, kept, now)
    manages = who.may(Role.ADMIN) and key.revoked_at is None
    return KeyRow(
        id=key.id or 0,
        name=key.name,
        role=key.role,
        hint=key.hint,
        created_at=key.created_at,
        created_by=key.created_by,
        last_seen=sent.seen_at,
        received=sent.received,
        matched=sent.matched,
        rejected=sent.rejected,
        state=state,
        tone=tone,
        revoke_action=f"{PATH}/keys/{key.id}/revoke" if manages else None,
    )


def _state(key: Key, sent: Traffic, kept: int, now: datetime) -> tuple[str, str]:
    if key.revoked_at is not None:
        return "revoked", "plain"
    if key.role != Role.AGENT:
        return "for the API", "plain"
    if sent.seen_at is None:
        return "never seen", "notable"
    if now - sent.seen_at > SILENT_AFTER:
        return "silent", "alarming"
    if kept:
        return f"{kept:,} in quarantine", "notable"
    return "fine", "calm"


def _quarantine(
    session: Session, query: dict[str, str]
) -> tuple[tuple[QuarantineRow, ...], int | None]:
    before = query.get("before", "")
    found = quarantine.newest(
        session,
        before=urls.number(before),
        limit=QUARANTINE_SHOWN + 1,
    )
    rows = found[:QUARANTINE_SHOWN]
    names = keys.names(session, (row.key_id for row in rows))
    older = rows[-1].id if len(found) > QUARANTINE_SHOWN else None
    return tuple(_quarantine_row(row, names) for row in rows), older


def _quarantine_row(row: Quarantine, names: dict[int, str]) -> QuarantineRow:
    return QuarantineRow(
        id=row.id or 0,
        received_at=row.received_at,
        agent=names.get(row.key_id, "a removed key"),
        reason=row.reason,
        size=len(row.event),
        shown=bytes_shown(row.event),
        raw_href=f"/quarantine/{row.id}/event.bin",
    )


def bytes_shown(raw: bytes) -> str:
    """The beginning of the bytes as text; what is not UTF-8 as \\xNN."""
    told = visible(raw[:BYTES_SHOWN].decode("utf-8", "backslashreplace"))
    return told + "…" if len(raw) > BYTES_SHOWN else told


@router.post(PATH + "/keys")
def create(request: Request, who: Admin, services: Parts, form: Posted) -> Response:
    """The key is in this answer and nowhere else, so it is shown without going elsewhere first."""
    form.only("name", "role")
    role = next((role for role in Role if role == form["role"]), None)
    if role is None:
        raise Invalid({"role": "Choose a role: " + ", ".join(Role) + "."})
    try:
        key, text = actions.create(
            services.database, form["name"], role, who=who, at=services.clock()
        )
    except Invalid as error:
        typed = Typed(form["name"], error.fields.get("name", str(error)), role=str(role))
        return _page(request, who, services, typed, 422)
    made = Typed(new_key=NewKey(key.name, text, key.role))
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
    return see_other(request, PATH, Notice("done", f"The key {name} is refused from now on."))


@router.get("/quarantine/{quarantine_id}/event.bin")
def quarantined(quarantine_id: RowId, who: Analyst, services: Parts) -> Response:
    """The bytes exactly as they came, as a download: no browser should try to make sense of them."""
    with services.database.read() as session:
        row = quarantine.get(session, quarantine_id)
    if row is None:
        raise NotFound(f"There is no event {quarantine_id} in quarantine.")
    name = f"quarantine-{quarantine_id}.bin"
    return Response(
        row.event,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
