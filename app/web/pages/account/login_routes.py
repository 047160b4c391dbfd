"""Signing in, and the one-time links by which a first admin or an invited person sets a password."""

import re
import secrets
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from app.actions import sessions
from app.actions import users as user_actions
from app.actions.sessions import SESSION_MAX_LIFETIME, NewSession
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
from app.web.page_response import THEME_COOKIE, THEMES, see_other
from app.web.services import Services, ServicesDep

router = APIRouter()


@dataclass(frozen=True, slots=True)
class LoginPage:
    """Posts csrf, name, password and next to `action`."""

    action: str
    csrf: str
    name: str
    next: str
    error: str | None
    no_admin_yet: bool  # nobody can sign in yet: say where the one-time set-up link was printed


@dataclass(frozen=True, slots=True)
class SetupPage:
    """Posts csrf, name, password and again to `action`; `name_locked` when the link is somebody's."""

    action: str
    csrf: str
    heading: str
    explanation: str
    name: str
    name_locked: bool
    errors: tuple[tuple[str, str], ...]


def _render_without_frame(
    request: Request, services: Services, template: str, page: object, status: int = 200
) -> HTMLResponse:
    html = services.renderer.render_template(
        template, {"page": page, "frame": None}, now=services.clock()
    )
    return HTMLResponse(html, status)


def _form_cookie(request: Request, services: Services) -> str:
    """What the forms of somebody not signed in are bound to: against being logged in as another."""
    sent = request.cookies.get(csrf_cookie_name(services), "")
    # It is sent back: nothing but what we once made ourselves may get into a header.
    return sent if _FORM_COOKIE_VALUE.fullmatch(sent) else secrets.token_urlsafe(24)


_FORM_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{32}")


def _set_cookie(response: Response, services: Services, name: str, value: str, age: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=age,
        path="/",
        secure=services.settings.uses_https,
        httponly=True,
        samesite="lax",
    )


def _set_form_cookie(response: Response, services: Services, cookie_value: str) -> Response:
    _set_cookie(response, services, csrf_cookie_name(services), cookie_value, 86_400)
    return response


@router.get("/login", dependencies=[Depends(PUBLIC)])
def show(request: Request, services: ServicesDep) -> Response:
    back = urls.safe_redirect_path(request.query_params.get("next", ""))
    token = session_token(request)
    at = services.clock()
    if token and sessions.authenticate(
        services.database, token, address=client_address(request), at=at
    ):
        return see_other(request, back)
    return _render_login(request, services, back=back)


def _render_login(
    request: Request,
    services: Services,
    *,
    back: str,
    name: str = "",
    error: str | None = None,
    status: int = 200,
) -> Response:
    cookie_value = _form_cookie(request, services)
    with services.database.read() as session:
        first_start = users.count_active_admins(session) == 0
    context = LoginPage(
        action="/login",
        csrf=csrf_token(services, cookie_value),
        name=name,
        next=back,
        error=error,
        no_admin_yet=first_start,
    )
    response = _render_without_frame(request, services, "pages/login.html", context, status)
    return _set_form_cookie(response, services, cookie_value)


async def _check_csrf(request: Request, services: ServicesDep) -> None:
    await check_csrf(request, request.cookies.get(csrf_cookie_name(services)))


@router.post("/login", dependencies=[Depends(PUBLIC), Depends(_check_csrf)])
def sign_in(request: Request, services: ServicesDep, form: FormDep) -> Response:
    form.allow_fields("name", "password", "next")
    name, address = form["name"].strip(), client_address(request)
    back = urls.safe_redirect_path(form["next"])
    try:
        with services.login_rate_limiter.attempt(name, address):
            signed_in = sessions.sign_in(
                services.database,
                name,
                form["password"],
                address=address,
                browser=user_agent(request),
                at=services.clock(),
            )
    except Forbidden as error:
        return _render_login(request, services, back=back, name=name, error=str(error), status=403)
    return _start_session(request, services, signed_in, back)


def _start_session(
    request: Request, services: Services, signed_in: NewSession, back: str
) -> Response:
    response = see_other(request, back)
    longest = int(SESSION_MAX_LIFETIME.total_seconds())
    _set_cookie(response, services, session_cookie_name(services), signed_in.token, longest)
    response.delete_cookie(
        csrf_cookie_name(services), path="/", secure=services.settings.uses_https
    )
    return response


@router.get("/setup/{token}", dependencies=[Depends(PUBLIC)])
def setup(request: Request, token: str, services: ServicesDep) -> Response:
    invited = user_actions.read_link(services.database, token, at=services.clock())
    if invited.purpose is LinkPurpose.SIGN_IN:
        # Printed on the terminal of whoever started the demo, to be opened by them.
        signed_in = sessions.sign_in_with_link(
            services.database,
            token,
            address=client_address(request),
            browser=user_agent(request),
            at=services.clock(),
        )
        return _start_session(request, services, signed_in, "/alerts")
    return _render_setup(request, services, token, invited.name)


def _render_setup(
    request: Request,
    services: Services,
    token: str,
    locked_name: str | None,
    *,
    name: str = "",
    errors: tuple[tuple[str, str], ...] = (),
) -> Response:
    cookie_value = _form_cookie(request, services)
    context = SetupPage(
        action=f"/setup/{token}",
        csrf=csrf_token(services, cookie_value),
        heading="Choose your password" if locked_name else "Set up Deckwatch",
        explanation="This link works once. Then sign in with your name and this password."
        if locked_name
        else "You become the first admin. This link works once; the next people you invite.",
        name=locked_name or name,
        name_locked=locked_name is not None,
        errors=errors,
    )
    status = 422 if errors else 200
    response = _render_without_frame(request, services, "pages/setup.html", context, status)
    return _set_form_cookie(response, services, cookie_value)


@router.post("/setup/{token}", dependencies=[Depends(PUBLIC), Depends(_check_csrf)])
def finish_setup(request: Request, token: str, services: ServicesDep, form: FormDep) -> Response:
    form.allow_fields("name", "password", "again")
    invited = user_actions.read_link(services.database, token, at=services.clock())
    try:
        signed_in = sessions.accept_invitation(
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
        return _render_setup(
            request, services, token, invited.name, name=form["name"], errors=errors
        )
    return _start_session(request, services, signed_in, "/alerts")


@router.post("/logout")
def sign_out(
    request: Request, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields()
    sessions.sign_out(
        services.database, session_token(request) or "", principal=principal, at=services.clock()
    )
    response = see_other(request, "/login")
    response.delete_cookie(
        session_cookie_name(services), path="/", secure=services.settings.uses_https
    )
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.post("/theme")
def set_theme(
    request: Request, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("theme", "next")
    if form["theme"] not in THEMES:
        raise InvalidInput({"theme": "Choose one of: " + ", ".join(THEMES) + "."})
    response = see_other(request, urls.safe_redirect_path(form["next"]))
    year = 365 * 86_400
    _set_cookie(response, services, THEME_COOKIE, form["theme"], year)
    return response
