"""People: who may sign in, as what, and the one-time links by which they set a password."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import sessions
from app.actions import users as actions
from app.actions.credentials import hash_token
from app.actions.users import LINK_LIFETIME
from app.domain.errors import Conflict, InvalidInput, NotFound
from app.domain.principal import Principal, Role
from app.store import users
from app.store.tables import User
from app.store.users import LinkPurpose
from app.web.access import Admin, Analyst, session_token
from app.web.components import SelectOption
from app.web.forms import FormDep
from app.web.page_frame import Notice
from app.web.page_response import render_page, see_other
from app.web.services import Services, ServicesDep
from app.web.urls import RowId

USERS_PATH = "/users"
ACCOUNT_PATH = "/account"
USER_ROLES = (Role.ANALYST, Role.ADMIN)
router = APIRouter()


@dataclass(frozen=True, slots=True)
class UserRow:
    """Actions that make no sense for this row (disabling oneself) are None.

    role_action takes csrf and role; disable_action, enable_action and link_action only csrf.
    """

    id: int
    name: str
    role: str
    role_options: tuple[SelectOption, ...]
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
class InviteLink:
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
    name_error: str | None
    role_options: tuple[SelectOption, ...]
    invite_link: InviteLink | None


@dataclass(frozen=True, slots=True)
class AccountPage:
    """One's own account: the form posts csrf, current, password and again to password_action."""

    name: str
    role: str
    password_action: str
    errors: tuple[tuple[str, str], ...]
    sessions: tuple[tuple[str, datetime, bool], ...]  # (address and browser, since, this one)
    end_others_action: str


@router.get(USERS_PATH)
def show(request: Request, principal: Admin, services: ServicesDep) -> Response:
    return _render_users(request, principal, services)


def _render_users(
    request: Request,
    principal: Principal,
    services: Services,
    *,
    name: str = "",
    role: Role = Role.ANALYST,
    error: str | None = None,
    invite_link: InviteLink | None = None,
    status: int = 200,
) -> Response:
    with services.database.read() as session:
        everyone = users.list_all(session)
        counts = users.session_counts_by_user(session, at=services.clock())
    context = UsersPage(
        rows=tuple(_row(user, counts.get(user.id or 0, 0), principal) for user in everyone),
        create_action=USERS_PATH,
        name=name,
        name_error=error,
        role_options=_role_options(role),
        invite_link=invite_link,
    )
    return render_page(
        request, principal, "pages/users.html", context, title="People", status=status
    )


def _role_options(chosen: str) -> tuple[SelectOption, ...]:
    return tuple(SelectOption(str(role), role.capitalize(), role == chosen) for role in USER_ROLES)


def _row(user: User, sessions: int, principal: Principal) -> UserRow:
    is_self = user.id == principal.user_id
    disabled = user.disabled_at is not None
    here = f"{USERS_PATH}/{user.id}"
    return UserRow(
        id=user.id or 0,
        name=user.name,
        role=user.role,
        role_options=_role_options(user.role),
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


@router.post(USERS_PATH)
def create(request: Request, principal: Admin, services: ServicesDep, form: FormDep) -> Response:
    """A new person and the one-time link to hand to them: nobody chooses a password for another."""
    form.allow_fields("name", "role")
    role = _read_role(form["role"])
    try:
        user = actions.create_user(
            services.database,
            form["name"],
            role,
            password=None,
            principal=principal,
            at=services.clock(),
        )
    except InvalidInput as error:
        return _render_users(
            request, principal, services, name=form["name"], role=role, error=str(error), status=422
        )
    return _create_invite_link(request, principal, services, user)


def _read_role(text: str) -> Role:
    role = next((role for role in USER_ROLES if role == text), None)
    if role is None:
        raise InvalidInput({"role": "Choose a role: " + ", ".join(USER_ROLES) + "."})
    return role


def _create_invite_link(
    request: Request, principal: Principal, services: Services, user: User
) -> Response:
    at = services.clock()
    token = actions.create_link(
        services.database, LinkPurpose.INVITE, user_id=user.id, principal=principal, at=at
    )
    link = InviteLink(
        user.name,
        f"{services.settings.base_url}/setup/{token}",
        at + LINK_LIFETIME[LinkPurpose.INVITE],
    )
    return _render_users(request, principal, services, invite_link=link, status=201)


@router.post(USERS_PATH + "/{user_id}/link")
def make_link(
    request: Request, user_id: RowId, principal: Admin, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields()
    with services.database.read() as session:
        user = session.get(User, user_id)
    if user is None:
        raise NotFound("This user does not exist.")
    return _create_invite_link(request, principal, services, user)


@router.post(USERS_PATH + "/{user_id}/role")
def set_role(
    request: Request, user_id: RowId, principal: Admin, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("role")
    role = _read_role(form["role"])
    try:
        user = actions.set_role(
            services.database, user_id, role, principal=principal, at=services.clock()
        )
    except Conflict as error:
        return see_other(request, USERS_PATH, Notice("warning", str(error)))
    return see_other(request, USERS_PATH, Notice("done", f"{user.name} is now an {role}."))


@router.post(USERS_PATH + "/{user_id}/disable")
def disable(
    request: Request, user_id: RowId, principal: Admin, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields()
    return _set_disabled(request, user_id, principal, services, True)


@router.post(USERS_PATH + "/{user_id}/enable")
def enable(
    request: Request, user_id: RowId, principal: Admin, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields()
    return _set_disabled(request, user_id, principal, services, False)


def _set_disabled(
    request: Request, user_id: int, principal: Principal, services: Services, disabled: bool
) -> Response:
    try:
        user = actions.set_disabled(
            services.database, user_id, disabled, principal=principal, at=services.clock()
        )
    except Conflict as error:
        return see_other(request, USERS_PATH, Notice("warning", str(error)))
    undo = f"{USERS_PATH}/{user.id}/{'enable' if disabled else 'disable'}"
    told = f"{user.name} can no longer sign in." if disabled else f"{user.name} can sign in."
    return see_other(request, USERS_PATH, Notice("done", told, undo_action=undo))


@router.get(ACCOUNT_PATH)
def show_account(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    return _render_account(request, principal, services)


def _render_account(
    request: Request,
    principal: Principal,
    services: Services,
    errors: tuple[tuple[str, str], ...] = (),
) -> Response:
    here = hash_token(session_token(request) or "")
    with services.database.read() as session:
        found = users.list_sessions(session, principal.user_id or 0, at=services.clock())
    context = AccountPage(
        name=principal.name,
        role=principal.role,
        password_action=f"{ACCOUNT_PATH}/password",
        errors=errors,
        sessions=tuple(
            (f"{one.address} · {one.browser}", one.created_at, one.token_hash == here)
            for one in found
        ),
        end_others_action=f"{ACCOUNT_PATH}/end-other-sessions",
    )
    status = 422 if errors else 200
    return render_page(
        request, principal, "pages/account.html", context, title="Account", status=status
    )


@router.post(f"{ACCOUNT_PATH}/password")
def change_password(
    request: Request, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("current", "password", "again")
    try:
        sessions.change_password(
            services.database,
            principal=principal,
            current=form["current"],
            password=form["password"],
            again=form["again"],
            current_token=session_token(request) or "",
            at=services.clock(),
        )
    except InvalidInput as error:
        return _render_account(request, principal, services, tuple(error.fields.items()))
    told = "Password changed; every other session of yours has ended."
    return see_other(request, ACCOUNT_PATH, Notice("done", told))


@router.post(f"{ACCOUNT_PATH}/end-other-sessions")
def end_other_sessions(
    request: Request, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields()
    sessions.end_other_sessions(
        services.database,
        principal=principal,
        current_token=session_token(request) or "",
        at=services.clock(),
    )
    return see_other(request, ACCOUNT_PATH, Notice("done", "Your other sessions have ended."))
