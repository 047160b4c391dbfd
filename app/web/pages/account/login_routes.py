"""Sign-in and sign-out, and the one-time links that set a password or sign in."""

from dataclasses import dataclass

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from app.actions import sessions
from app.actions import users as user_actions
from app.actions.sessions import NewSession
from app.domain.errors import Forbidden, InvalidInput
from app.store import users
from app.store.users import LinkPurpose
from app.web import urls
from app.web.access import (
    PUBLIC,
    Analyst,
    check_csrf,
    client_address,
    csrf_cookie_name,
    csrf_token,
    session_cookie_name,
    session_token,
    user_agent,
)
from app.web.forms import FormDep
from app.web.page_response import see_other
from app.web.pages.account.cookies import (
    delete_cookie,
    form_cookie_value,
    set_form_cookie,
    set_session_cookie,
)
from app.web.services import Services, ServicesDep

router = APIRouter()


@dataclass(frozen=True, slots=True)
class LoginPage:
    """Context of the sign-in page. Its form posts `csrf`, `name`, `password` and `next` to `action`.

    `no_admin_yet` is true if no admin can sign in; the page then refers to the set-up link.
    """

    action: str
    csrf: str
    name: str
    next: str
    error: str | None
    no_admin_yet: bool


@dataclass(frozen=True, slots=True)
class SetupPage:
    """Context of the set-up page. Its form posts `csrf`, `name`, `password` and `again` to `action`.

    `name_locked` is true if the link belongs to an existing user, whose name the form cannot change.
    """

    action: str
    csrf: str
    heading: str
    explanation: str
    name: str
    name_locked: bool
    errors: tuple[tuple[str, str], ...]


def _render_signed_out(
    services: Services, template: str, page: object, cookie_value: str, status: int
) -> HTMLResponse:
    """Render a page for a signed-out user, without navigation, and set the form cookie."""
    html = services.renderer.render_template(
        template, {"page": page, "frame": None}, now=services.clock()
    )
    response = HTMLResponse(html, status)
    set_form_cookie(response, services, cookie_value)
    return response


@router.get("/login", dependencies=[Depends(PUBLIC)])
def show(request: Request, services: ServicesDep) -> Response:
    next_path = urls.safe_redirect_path(request.query_params.get("next", ""))
    token = session_token(request)
    if token and sessions.authenticate(
        services.database, token, address=client_address(request), at=services.clock()
    ):
        return see_other(request, next_path)
    return _render_login(request, services, next_path=next_path)


def _render_login(
    request: Request,
    services: Services,
    *,
    next_path: str,
    name: str = "",
    error: str | None = None,
    status: int = 200,
) -> Response:
    cookie_value = form_cookie_value(request, services)
    with services.database.read() as session:
        no_admin_yet = users.count_active_admins(session) == 0
    context = LoginPage(
        action="/login",
        csrf=csrf_token(services, cookie_value),
        name=name,
        next=next_path,
        error=error,
        no_admin_yet=no_admin_yet,
    )
    return _render_signed_out(services, "pages/login.html", context, cookie_value, status)


async def _check_csrf(request: Request, services: ServicesDep) -> None:
    await check_csrf(request, request.cookies.get(csrf_cookie_name(services)))


@router.post("/login", dependencies=[Depends(PUBLIC), Depends(_check_csrf)])
def sign_in(request: Request, services: ServicesDep, form: FormDep) -> Response:
    form.allow_fields("name", "password", "next")
    name, address = form["name"].strip(), client_address(request)
    next_path = urls.safe_redirect_path(form["next"])
    try:
        with services.login_rate_limiter.attempt(name, address):
            new_session = sessions.sign_in(
                services.database,
                name,
                form["password"],
                address=address,
                browser=user_agent(request),
                at=services.clock(),
            )
    except Forbidden as error:
        return _render_login(
            request, services, next_path=next_path, name=name, error=str(error), status=403
        )
    return _start_session(request, services, new_session, next_path)


def _start_session(
    request: Request, services: Services, new_session: NewSession, next_path: str
) -> Response:
    response = see_other(request, next_path)
    set_session_cookie(response, services, new_session)
    return response


@router.get("/setup/{token}", dependencies=[Depends(PUBLIC)])
def setup(request: Request, token: str, services: ServicesDep) -> Response:
    link = user_actions.read_link(services.database, token, at=services.clock())
    if link.purpose is LinkPurpose.SIGN_IN:
        # Only the demo creates a sign-in link. The demo prints the link in the terminal.
        new_session = sessions.sign_in_with_link(
            services.database,
            token,
            address=client_address(request),
            browser=user_agent(request),
            at=services.clock(),
        )
        return _start_session(request, services, new_session, "/alerts")
    return _render_setup(request, services, token, link.name)


def _render_setup(
    request: Request,
    services: Services,
    token: str,
    locked_name: str | None,
    *,
    name: str = "",
    errors: tuple[tuple[str, str], ...] = (),
) -> Response:
    cookie_value = form_cookie_value(request, services)
    context = SetupPage(
        action=f"/setup/{token}",
        csrf=csrf_token(services, cookie_value),
        heading="Set your password" if locked_name else "Set up Deckwatch",
        explanation="This link works once. Afterwards, sign in with your name and password."
        if locked_name
        else "Create the first admin account. This link works once.",
        name=locked_name or name,
        name_locked=locked_name is not None,
        errors=errors,
    )
    status = 422 if errors else 200
    return _render_signed_out(services, "pages/setup.html", context, cookie_value, status)


@router.post("/setup/{token}", dependencies=[Depends(PUBLIC), Depends(_check_csrf)])
def finish_setup(request: Request, token: str, services: ServicesDep, form: FormDep) -> Response:
    form.allow_fields("name", "password", "again")
    link = user_actions.read_link(services.database, token, at=services.clock())
    try:
        new_session = sessions.accept_invitation(
            services.database,
            token,
            name=form["name"],
            password=form["password"],
            again=form["again"],
            address=client_address(request),
            browser=user_agent(request),
            at=services.clock(),
        )
    except InvalidInput as error:
        errors = tuple(error.fields.items())
        return _render_setup(request, services, token, link.name, name=form["name"], errors=errors)
    return _start_session(request, services, new_session, "/alerts")


@router.post("/logout")
def sign_out(
    request: Request, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields()
    sessions.sign_out(
        services.database, session_token(request) or "", principal=principal, at=services.clock()
    )
    response = see_other(request, "/login")
    delete_cookie(response, services, session_cookie_name(services))
    response.headers["Clear-Site-Data"] = '"cache"'
    return response
