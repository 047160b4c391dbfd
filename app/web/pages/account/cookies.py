"""Cookies for sign-in: the session cookie, and the form cookie that protects forms before sign-in."""

import re
import secrets

from fastapi import Request
from starlette.responses import Response

from app.actions.sessions import SESSION_MAX_LIFETIME, NewSession
from app.web.access import csrf_cookie_name, session_cookie_name
from app.web.services import Services

FORM_COOKIE_MAX_AGE = 86_400
_FORM_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{32}")


def set_cookie(
    response: Response, services: Services, name: str, value: str, *, max_age: int
) -> None:
    """Set an HttpOnly cookie; `max_age` is in seconds."""
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        path="/",
        secure=services.settings.uses_https,
        httponly=True,
        samesite="lax",
    )


def delete_cookie(response: Response, services: Services, name: str) -> None:
    response.delete_cookie(name, path="/", secure=services.settings.uses_https)


def form_cookie_value(request: Request, services: Services) -> str:
    """Return the value of the form cookie of the request, or a new random value.

    A signed-out browser has no session, so the CSRF token of its forms is derived from this cookie. Without
    the token, another site could post the sign-in form with the password of an attacker. The browser would
    then be signed in to the attacker's account (login CSRF).
    """
    sent = request.cookies.get(csrf_cookie_name(services), "")
    # The response repeats the value in a Set-Cookie header. A client can send a cookie with arbitrary text,
    # so this function accepts only a value in the format of `token_urlsafe`.
    return sent if _FORM_COOKIE_VALUE.fullmatch(sent) else secrets.token_urlsafe(24)


def set_form_cookie(response: Response, services: Services, value: str) -> None:
    set_cookie(response, services, csrf_cookie_name(services), value, max_age=FORM_COOKIE_MAX_AGE)


def set_session_cookie(response: Response, services: Services, new_session: NewSession) -> None:
    """Set the session cookie and delete the form cookie."""
    max_age = int(SESSION_MAX_LIFETIME.total_seconds())
    name = session_cookie_name(services)
    set_cookie(response, services, name, new_session.token, max_age=max_age)
    delete_cookie(response, services, csrf_cookie_name(services))
