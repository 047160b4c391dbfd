"""Account page of the signed-in user: password, sessions and theme."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import sessions
from app.actions.credentials import hash_token
from app.domain.errors import InvalidInput
from app.domain.principal import Principal
from app.store import users
from app.web import urls
from app.web.access import Analyst, session_token
from app.web.forms import FormDep
from app.web.page_frame import Notice
from app.web.page_response import THEME_COOKIE, THEMES, render_page, see_other
from app.web.pages.account.cookies import set_cookie
from app.web.services import Services, ServicesDep

ACCOUNT_PATH = "/account"
THEME_MAX_AGE = 365 * 86_400
router = APIRouter()


@dataclass(frozen=True, slots=True)
class SessionRow:
    client: str  # address and browser
    created_at: datetime
    is_current: bool


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Context of the account page.

    The form posts the fields `csrf`, `current`, `password` and `again` to `password_action`.
    """

    name: str
    role: str
    password_action: str
    errors: tuple[tuple[str, str], ...]
    sessions: tuple[SessionRow, ...]
    end_others_action: str


@router.get(ACCOUNT_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    return _render(request, principal, services)


def _render(
    request: Request,
    principal: Principal,
    services: Services,
    errors: tuple[tuple[str, str], ...] = (),
) -> Response:
    current_hash = hash_token(session_token(request) or "")
    with services.database.read() as session:
        user_sessions = users.list_sessions(session, principal.user_id or 0, at=services.clock())
    context = AccountPage(
        name=principal.name,
        role=principal.role,
        password_action=f"{ACCOUNT_PATH}/password",
        errors=errors,
        sessions=tuple(
            SessionRow(
                f"{user_session.address} · {user_session.browser}",
                user_session.created_at,
                user_session.token_hash == current_hash,
            )
            for user_session in user_sessions
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
        return _render(request, principal, services, tuple(error.fields.items()))
    text = "Password changed. All your other sessions have ended."
    return see_other(request, ACCOUNT_PATH, Notice("done", text))


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


@router.post("/theme")
def set_theme(
    request: Request, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("theme", "next")
    if form["theme"] not in THEMES:
        raise InvalidInput({"theme": "Choose a theme: " + ", ".join(THEMES) + "."})
    response = see_other(request, urls.safe_redirect_path(form["next"]))
    set_cookie(response, services, THEME_COOKIE, form["theme"], max_age=THEME_MAX_AGE)
    return response
