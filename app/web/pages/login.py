"""Signing in, and the one-time links by which a first admin or an invited person sets a password."""

import re
import secrets
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from app.actions import accounts, sessions
from app.actions.sessions import SESSION_LONGEST, SignedIn
from app.domain.errors import Forbidden, Invalid
from app.store import people
from app.store.people import Purpose
from app.web import urls
from app.web.access import (
    PUBLIC,
    Analyst,
    address_of,
    browser_of,
    check_form,
    cookie_name,
    form_cookie_name,
    form_token,
    session_token,
)
from app.web.forms import Posted
from app.web.respond import THEME_COOKIE, THEMES, see_other
from app.web.services import Parts, Services

router = APIRouter()


@dataclass(frozen=True, slots=True)
class LoginPage:
    """Posts csrf, name, password and next to `action`."""

    action: str
    csrf: str
    name: str
    next: str
    problem: str | None
    first_start: bool  # nobody can sign in yet: say where the one-time set-up link was printed


@dataclass(frozen=True, slots=True)
class SetupPage:
    """Posts csrf, name, password and again to `action`; `name_locked` when the link is somebody's."""

    action: str
    csrf: str
    heading: str
    explanation: str
    name: str
    name_locked: bool
    problems: tuple[tuple[str, str], ...]


def _plain(
    request: Request, services: Services, template: str, page: object, status: int = 200
) -> HTMLResponse:
    html = services.renderer.page(template, {"page": page, "shell": None}, now=services.clock())
    return HTMLResponse(html, status)


def _form_cookie(request: Request, services: Services) -> str:
    """What the forms of somebody not signed in are bound to: against being logged in as another."""
    sent = request.cookies.get(form_cookie_name(services), "")
    # It is sent back: nothing but what we once made ourselves may get into a header.
    return sent if _FORM_TOKEN.fullmatch(sent) else secrets.token_urlsafe(24)


_FORM_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")


def _set_cookie(response: Response, services: Services, name: str, value: str, age: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=age,
        path="/",
        secure=services.settings.https,
        httponly=True,
        samesite="lax",
    )


def _with_form_cookie(response: Response, services: Services, bound_to: str) -> Response:
    _set_cookie(response, services, form_cookie_name(services), bound_to, 86_400)
    return response


@router.get("/login", dependencies=[Depends(PUBLIC)])
def show(request: Request, services: Parts) -> Response:
    back = urls.local_path(request.query_params.get("next", ""))
    token = session_token(request)
    at = services.clock()
    if token and sessions.signed_in(services.database, token, address=address_of(request), at=at):
        return see_other(request, back)
    return _login(request, services, back=back)


def _login(
    request: Request,
    services: Services,
    *,
    back: str,
    name: str = "",
    problem: str | None = None,
    status: int = 200,
) -> Response:
    bound_to = _form_cookie(request, services)
    with services.database.read() as session:
        first_start = people.active_admins(session) == 0
    context = LoginPage(
        action="/login",
        csrf=form_token(services, bound_to),
        name=name,
        next=back,
        problem=problem,
        first_start=first_start,
    )
    response = _plain(request, services, "pages/login.html", context, status)
    return _with_form_cookie(response, services, bound_to)


async def _checked(request: Request, services: Parts) -> None:
    await check_form(request, request.cookies.get(form_cookie_name(services)))


@router.post("/login", dependencies=[Depends(PUBLIC), Depends(_checked)])
def sign_in(request: Request, services: Parts, form: Posted) -> Response:
    form.only("name", "password", "next")
    name, address = form["name"].strip(), address_of(request)
    back = urls.local_path(form["next"])
    try:
        with services.login_limits.one_try(name, address):
            signed_in = sessions.sign_in(
                services.database,
                name,
                form["password"],
                address=address,
                browser=browser_of(request),
                at=services.clock(),
            )
    except Forbidden as error:
        return _login(request, services, back=back, name=name, problem=str(error), status=403)
    return _enter(request, services, signed_in, back)


def _enter(request: Request, services: Services, signed_in: SignedIn, back: str) -> Response:
    response = see_other(request, back)
    longest = int(SESSION_LONGEST.total_seconds())
    _set_cookie(response, services, cookie_name(services), signed_in.token, longest)
    response.delete_cookie(form_cookie_name(services), path="/", secure=services.settings.https)
    return response


@router.get("/setup/{token}", dependencies=[Depends(PUBLIC)])
def setup(request: Request, token: str, services: Parts) -> Response:
    invited = accounts.invitation(services.database, token, at=services.clock())
    if invited.purpose is Purpose.ENTER:
        # Printed on the terminal of whoever started the demo, to be opened by them.
        signed_in = sessions.enter(
            services.database,
            token,
            address=address_of(request),
            browser=browser_of(request),
            at=services.clock(),
        )
        return _enter(request, services, signed_in, "/alerts")
    return _setup(request, services, token, invited.name)


def _setup(
    request: Request,
    services: Services,
    token: str,
    locked_name: str | None,
    *,
    name: str = "",
    problems: tuple[tuple[str, str], ...] = (),
) -> Response:
    bound_to = _form_cookie(request, services)
    context = SetupPage(
        action=f"/setup/{token}",
        csrf=form_token(services, bound_to),
        heading="Choose your password" if locked_name else "Set up Deckwatch",
        explanation="This link works once. Then sign in with your name and this password."
        if locked_name
        else "You become the first admin. This link works once; the next people you invite.",
        name=locked_name or name,
        name_locked=locked_name is not None,
        problems=problems,
    )
    status = 422 if problems else 200
    response = _plain(request, services, "pages/setup.html", context, status)
    return _with_form_cookie(response, services, bound_to)


@router.post("/setup/{token}", dependencies=[Depends(PUBLIC), Depends(_checked)])
def finish_setup(request: Request, token: str, services: Parts, form: Posted) -> Response:
    form.only("name", "password", "again")
    invited = accounts.invitation(services.database, token, at=services.clock())
    try:
        signed_in = sessions.accept(
            services.database,
            token,
            name=form["name"],
            password=form["password"],
            again=form["again"],
            address=address_of(request),
            browser=browser_of(request),
            at=services.clock(),
        )
    except Invalid as error:
        problems = tuple(error.fields.items())
        return _setup(request, services, token, invited.name, name=form["name"], problems=problems)
    return _enter(request, services, signed_in, "/alerts")


@router.post("/logout")
def sign_out(request: Request, who: Analyst, services: Parts, form: Posted) -> Response:
    form.only()
    sessions.sign_out(services.database, session_token(request) or "", who=who, at=services.clock())
    response = see_other(request, "/login")
    response.delete_cookie(cookie_name(services), path="/", secure=services.settings.https)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.post("/theme")
def set_theme(request: Request, who: Analyst, services: Parts, form: Posted) -> Response:
    form.only("theme", "next")
    if form["theme"] not in THEMES:
        raise Invalid({"theme": "Choose one of: " + ", ".join(THEMES) + "."})
    response = see_other(request, urls.local_path(form["next"]))
    year = 365 * 86_400
    _set_cookie(response, services, THEME_COOKIE, form["theme"], year)
    return response
