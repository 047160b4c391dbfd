"""Users page: accounts, their roles, and one-time links to set a password."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import users as actions
from app.actions.users import LINK_LIFETIME
from app.domain.errors import Conflict, InvalidInput, NotFound
from app.domain.principal import Principal, Role
from app.store import users
from app.store.tables import User
from app.store.users import LinkPurpose
from app.web.access import Admin
from app.web.components import SelectOption
from app.web.forms import FormDep
from app.web.page_frame import Notice
from app.web.page_response import render_page, see_other
from app.web.services import Services, ServicesDep
from app.web.urls import RowId

USERS_PATH = "/users"
USER_ROLES = (Role.ANALYST, Role.ADMIN)
router = APIRouter()


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user with the paths of the available actions.

    The path of an unavailable action, such as disabling oneself, is None. The form for `role_action` posts
    `csrf` and `role`; the forms for the other actions post only `csrf`.
    """

    user: User
    role_options: tuple[SelectOption, ...]
    state: str  # "active", "disabled" or "invited"
    session_count: int
    is_self: bool
    role_action: str | None
    disable_action: str | None
    enable_action: str | None
    link_action: str | None


@dataclass(frozen=True, slots=True)
class InviteLink:
    """A one-time link with which the user `name` sets a password. The page shows the link only once."""

    name: str
    url: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class UsersPage:
    """Context of the users page; the form for a new user posts `csrf`, `name` and `role`."""

    rows: tuple[UserRow, ...]
    create_action: str
    name: str
    name_error: str | None
    role_options: tuple[SelectOption, ...]
    invite_link: InviteLink | None


@router.get(USERS_PATH)
def show(request: Request, principal: Admin, services: ServicesDep) -> Response:
    return _render(request, principal, services)


def _render(
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
        all_users = users.list_all(session)
        session_counts = users.session_counts_by_user(session, at=services.clock())
    context = UsersPage(
        rows=tuple(
            _row(user, session_counts.get(user.id or 0, 0), principal) for user in all_users
        ),
        create_action=USERS_PATH,
        name=name,
        name_error=error,
        role_options=_role_options(role),
        invite_link=invite_link,
    )
    return render_page(
        request, principal, "pages/users.html", context, title="Users", status=status
    )


def _role_options(selected: str) -> tuple[SelectOption, ...]:
    return tuple(
        SelectOption(str(role), role.capitalize(), role == selected) for role in USER_ROLES
    )


def _row(user: User, session_count: int, principal: Principal) -> UserRow:
    is_self = user.id == principal.user_id
    is_disabled = user.disabled_at is not None
    can_change = not is_self and not is_disabled
    user_path = f"{USERS_PATH}/{user.id}"
    return UserRow(
        user=user,
        role_options=_role_options(user.role),
        state="disabled" if is_disabled else "active" if user.password_hash else "invited",
        session_count=session_count,
        is_self=is_self,
        role_action=f"{user_path}/role" if can_change else None,
        disable_action=f"{user_path}/disable" if can_change else None,
        enable_action=f"{user_path}/enable" if is_disabled else None,
        link_action=f"{user_path}/link" if can_change else None,
    )


@router.post(USERS_PATH)
def create(request: Request, principal: Admin, services: ServicesDep, form: FormDep) -> Response:
    """Create a user and a one-time link with which that user sets the password."""
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
        return _render(
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
    return _render(request, principal, services, invite_link=link, status=201)


@router.post(USERS_PATH + "/{user_id}/link")
def create_link(
    request: Request, user_id: RowId, principal: Admin, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields()
    with services.database.read() as session:
        user = session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such user.")
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
    return see_other(request, USERS_PATH, Notice("done", f"{user.name} now has the role {role}."))


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
    undo_action = f"{USERS_PATH}/{user.id}/{'enable' if disabled else 'disable'}"
    text = (
        f"{user.name} is disabled and signed out." if disabled else f"{user.name} is enabled again."
    )
    return see_other(request, USERS_PATH, Notice("done", text, undo_action=undo_action))
