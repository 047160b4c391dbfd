"""People: who may sign in, as what, and the one-time links by which they set a password."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import accounts as actions
from app.actions import sessions
from app.actions.accounts import LINK_LIFE
from app.actions.credentials import digest
from app.domain.errors import Conflict, Invalid, NotFound
from app.domain.roles import Principal, Role
from app.store import people
from app.store.people import Purpose
from app.store.tables import User
from app.web.access import Admin, Analyst, session_token
from app.web.forms import Posted
from app.web.respond import page, see_other
from app.web.services import Parts, Services
from app.web.shell import Notice, Option
from app.web.urls import RowId

PATH = "/users"
ACCOUNT = "/account"
PERSON_ROLES = (Role.ANALYST, Role.ADMIN)
router = APIRouter()


@dataclass(frozen=True, slots=True)
class UserRow:
    """Actions that make no sense for this row (disabling oneself) are None.

    role_action takes csrf and role; disable_action, enable_action and link_action only csrf.
    """

    id: int
    name: str
    role: str
    roles: tuple[Option, ...]
    state: str  # "active", "disabled" or "invited"
    created_at: datetime
    last_login: datetime | None
    sessions: int
    is_self: bool
    role_action: str | None
    disable_action: str | None
    enable_action: str | None
    link_action: str | None


@dataclass(frozen=True, slots=True)
class NewLink:
    """A one-time link to hand to `name`: shown this once."""

    name: str
    url: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class UsersPage:
    """The form for a new person posts csrf, name and role to create_action."""

    rows: tuple[UserRow, ...]
    create_action: str
    name: str
    name_problem: str | None
    roles: tuple[Option, ...]
    new_link: NewLink | None


@dataclass(frozen=True, slots=True)
class AccountPage:
    """One's own account: the form posts csrf, current, password and again to password_action."""

    name: str
    role: str
    password_action: str
    problems: tuple[tuple[str, str], ...]
    sessions: tuple[tuple[str, datetime, bool], ...]  # (address and browser, since, this one)
    end_others_action: str


@router.get(PATH)
def show(request: Request, who: Admin, services: Parts) -> Response:
    return _page(request, who, services)


def _page(
    request: Request,
    who: Principal,
    services: Services,
    *,
    name: str = "",
    role: Role = Role.ANALYST,
    problem: str | None = None,
    new_link: NewLink | None = None,
    status: int = 200,
) -> Response:
    with services.database.read() as session:
        everyone = people.everyone(session)
        counts = people.session_counts(session, at=services.clock())
    context = UsersPage(
        rows=tuple(_row(user, counts.get(user.id or 0, 0), who) for user in everyone),
        create_action=PATH,
        name=name,
        name_problem=problem,
        roles=_roles(role),
        new_link=new_link,
    )
    return page(request, who, "pages/users.html", context, title="People", status=status)


def _roles(chosen: str) -> tuple[Option, ...]:
    return tuple(Option(str(role), role.capitalize(), role == chosen) for role in PERSON_ROLES)


def _row(user: User, sessions: int, who: Principal) -> UserRow:
    is_self = user.id == who.user_id
    disabled = user.disabled_at is not None
    here = f"{PATH}/{user.id}"
    return UserRow(
        id=user.id or 0,
        name=user.name,
        role=user.role,
        roles=_roles(user.role),
        state="disabled" if disabled else "active" if user.password_hash else "invited",
        created_at=user.created_at,
        last_login=user.last_login_at,
        sessions=sessions,
        is_self=is_self,
        role_action=None if is_self or disabled else f"{here}/role",
        disable_action=None if is_self or disabled else f"{here}/disable",
        enable_action=f"{here}/enable" if disabled else None,
        link_action=None if disabled or is_self else f"{here}/link",
    )


@router.post(PATH)
def create(request: Request, who: Admin, services: Parts, form: Posted) -> Response:
    """A new person and the one-time link to hand to them: nobody chooses a password for another."""
    form.only("name", "role")
    role = _role(form["role"])
    try:
        user = actions.create_user(
            services.database, form["name"], role, password=None, who=who, at=services.clock()
        )
    except Invalid as error:
        return _page(
            request, who, services, name=form["name"], role=role, problem=str(error), status=422
        )
    return _with_link(request, who, services, user)


def _role(text: str) -> Role:
    role = next((role for role in PERSON_ROLES if role == text), None)
    if role is None:
        raise Invalid({"role": "Choose a role: " + ", ".join(PERSON_ROLES) + "."})
    return role


def _with_link(request: Request, who: Principal, services: Services, user: User) -> Response:
    at = services.clock()
    token = actions.make_link(services.database, Purpose.INVITE, user_id=user.id, who=who, at=at)
    link = NewLink(
        user.name,
        f"{services.settings.base_url}/setup/{token}",
        at + LINK_LIFE[Purpose.INVITE],
    )
    return _page(request, who, services, new_link=link, status=201)


@router.post(PATH + "/{user_id}/link")
def make_link(
    request: Request, user_id: RowId, who: Admin, services: Parts, form: Posted
) -> Response:
    form.only()
    with services.database.read() as session:
        user = session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such person.")
    return _with_link(request, who, services, user)


@router.post(PATH + "/{user_id}/role")
def set_role(
    request: Request, user_id: RowId, who: Admin, services: Parts, form: Posted
) -> Response:
    form.only("role")
    role = _role(form["role"])
    try:
        user = actions.set_role(services.database, user_id, role, who=who, at=services.clock())
    except Conflict as error:
        return see_other(request, PATH, Notice("warning", str(error)))
    return see_other(request, PATH, Notice("done", f"{user.name} is now an {role}."))


@router.post(PATH + "/{user_id}/disable")
def disable(
    request: Request, user_id: RowId, who: Admin, services: Parts, form: Posted
) -> Response:
    form.only()
    return _set_disabled(request, user_id, who, services, True)


@router.post(PATH + "/{user_id}/enable")
def enable(request: Request, user_id: RowId, who: Admin, services: Parts, form: Posted) -> Response:
    form.only()
    return _set_disabled(request, user_id, who, services, False)


def _set_disabled(
    request: Request, user_id: int, who: Principal, services: Services, disabled: bool
) -> Response:
    try:
        user = actions.set_disabled(
            services.database, user_id, disabled, who=who, at=services.clock()
        )
    except Conflict as error:
        return see_other(request, PATH, Notice("warning", str(error)))
    undo = f"{PATH}/{user.id}/{'enable' if disabled else 'disable'}"
    told = f"{user.name} can no longer sign in." if disabled else f"{user.name} can sign in."
    return see_other(request, PATH, Notice("done", told, undo_action=undo))


@router.get(ACCOUNT)
def account(request: Request, who: Analyst, services: Parts) -> Response:
    return _account(request, who, services)


def _account(
    request: Request,
    who: Principal,
    services: Services,
    problems: tuple[tuple[str, str], ...] = (),
) -> Response:
    here = digest(session_token(request) or "")
    with services.database.read() as session:
        found = people.sessions_of(session, who.user_id or 0, at=services.clock())
    context = AccountPage(
        name=who.name,
        role=who.role,
        password_action=f"{ACCOUNT}/password",
        problems=problems,
        sessions=tuple(
            (f"{one.address} · {one.browser}", one.created_at, one.token_hash == here)
            for one in found
        ),
        end_others_action=f"{ACCOUNT}/end-other-sessions",
    )
    status = 422 if problems else 200
    return page(request, who, "pages/account.html", context, title="Account", status=status)


@router.post(f"{ACCOUNT}/password")
def change_password(request: Request, who: Analyst, services: Parts, form: Posted) -> Response:
    form.only("current", "password", "again")
    try:
        sessions.change_password(
            services.database,
            who=who,
            current=form["current"],
            password=form["password"],
            again=form["again"],
            keep_session=session_token(request) or "",
            at=services.clock(),
        )
    except Invalid as error:
        return _account(request, who, services, tuple(error.fields.items()))
    told = "Password changed; every other session of yours has ended."
    return see_other(request, ACCOUNT, Notice("done", told))


@router.post(f"{ACCOUNT}/end-other-sessions")
def end_other_sessions(request: Request, who: Analyst, services: Parts, form: Posted) -> Response:
    form.only()
    sessions.end_other_sessions(
        services.database, who=who, keep_session=session_token(request) or "", at=services.clock()
    )
    return see_other(request, ACCOUNT, Notice("done", "Your other sessions have ended."))
