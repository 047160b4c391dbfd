"""Authentication, CSRF protection and the access declaration that every route must have."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from app.actions import api_keys, sessions
from app.domain.errors import Forbidden
from app.domain.principal import Principal, Role
from app.domain.text import escape_unstorable
from app.web.errors import AuthenticationRequired, is_api_path
from app.web.forms import read_form
from app.web.services import Services, get_services

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SESSION_COOKIE = "deckwatch"
_CSRF_COOKIE = "deckwatch_form"
_CSRF_PURPOSE = "form"


def session_cookie_name(services: Services, base: str = _SESSION_COOKIE) -> str:
    """Return the cookie name `base`, with the prefix `__Host-` if the site uses HTTPS (RFC 6265bis).

    Browsers accept a cookie with this prefix only over HTTPS, and send it only to the host that set it.
    """
    return f"__Host-{base}" if services.settings.uses_https else base


def csrf_cookie_name(services: Services) -> str:
    return session_cookie_name(services, _CSRF_COOKIE)


def client_address(request: Request) -> str:
    # Behind a proxy, uvicorn takes the address from the header X-Forwarded-For. A client can put text of any
    # length into this header.
    return escape_unstorable(request.client.host[:100]) if request.client else "unknown"


def user_agent(request: Request) -> str:
    return escape_unstorable(request.headers.get("user-agent", "unknown"))


def session_token(request: Request) -> str | None:
    return request.cookies.get(session_cookie_name(get_services(request)))


def sign(services: Services, purpose: str, text: str) -> str:
    """Return a signature of `text` that is valid only for `purpose` (HMAC-SHA256, hexadecimal)."""
    return hmac.new(services.secret, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


def is_valid_signature(services: Services, purpose: str, text: str, signature: str) -> bool:
    """Return whether `signature` is valid for `purpose` and `text`.

    The comparison takes constant time, so that the duration does not reveal the valid signature.
    """
    return hmac.compare_digest(signature.encode(), sign(services, purpose, text).encode())


def csrf_token(services: Services, cookie_value: str) -> str:
    """Return the CSRF token for the forms of one browser.

    `cookie_value` is the value of the browser's session cookie. For a signed-out browser, `cookie_value` is
    the value of the form cookie. Another site cannot compute or read this token. A form that contains the
    token therefore comes from a Deckwatch page.
    """
    return sign(services, _CSRF_PURPOSE, cookie_value)


async def _authenticate(request: Request) -> Principal | None:
    services = get_services(request)
    header = request.headers.get("authorization")
    if header is not None:
        api_key = api_key_from_header(header)
        if api_key is None:
            return None
        principal = services.api_key_cache.get_cached(api_key) or await run_in_threadpool(
            services.api_key_cache.look_up, api_key
        )
        return replace(principal, address=client_address(request)) if principal else None
    token = session_token(request)
    if token is None:
        return None
    signed_in = await run_in_threadpool(
        sessions.authenticate,
        services.database,
        token,
        address=client_address(request),
        at=services.clock(),
    )
    return signed_in[1] if signed_in else None


def api_key_from_header(header: str) -> str | None:
    """Return the API key in the value of an Authorization header, or None if the format is unknown.

    Formats: `Bearer KEY` (RFC 6750), `ApiKey KEY`, `ApiKey base64(id:KEY)` (Elasticsearch), and Basic with
    the key as the password (RFC 7617).
    """
    scheme, _, rest = header.strip().partition(" ")
    rest = rest.strip()
    match scheme.lower():
        case "bearer":
            return rest or None
        case "apikey":
            return rest if rest.startswith(api_keys.PREFIX) else _decode_credentials(rest)
        case "basic":
            return _decode_credentials(rest)
        case _:
            return None


def _decode_credentials(encoded: str) -> str | None:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return decoded.partition(":")[2] or None


def _is_same_origin(request: Request) -> bool:
    """Return False if the headers of the request say that another site sent the request.

    The function checks the header Sec-Fetch-Site (Fetch Metadata). If Sec-Fetch-Site is missing, the function
    checks the header Origin. Current browsers send at least one of the two headers with every form post.
    A request with neither header therefore does not come from a current browser. For this request, the
    function returns True, but the client still needs the CSRF token.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:  # the header is no URL, such as "http://["; no browser sends this
        return False


async def check_csrf(request: Request, cookie_value: str | None) -> None:
    """Raise Forbidden unless the request comes from this site and has the CSRF token for `cookie_value`."""
    if not _is_same_origin(request):
        raise Forbidden("This request came from another site. Nothing was changed.")
    token = request.headers.get("x-csrf-token")
    if token is None and not is_api_path(request.url.path):
        token = (await read_form(request))["csrf"]
    services = get_services(request)
    if (
        not cookie_value
        or not token
        or not is_valid_signature(services, _CSRF_PURPOSE, cookie_value, token)
    ):
        raise Forbidden("This page has expired. Reload it and try again.")


class RequireRole:
    """FastAPI dependency that returns the principal of a request if the principal has `role`.

    If `api_keys_only` is true, the dependency accepts only requests with an API key. Otherwise, the
    dependency also accepts requests of signed-in browsers. If a browser sends a request with an unsafe
    method, such as POST, the request must pass `check_csrf`.
    """

    def __init__(self, role: Role, *, api_keys_only: bool = False) -> None:
        self.role = role
        self.api_keys_only = api_keys_only

    async def __call__(
        self, request: Request, principal: Annotated[Principal | None, Depends(_authenticate)]
    ) -> Principal:
        if principal is None or (self.api_keys_only and principal.key_id is None):
            raise AuthenticationRequired(
                "An API key is required: send it as “Authorization: Bearer KEY”."
                if is_api_path(request.url.path)
                else "Sign in to continue."
            )
        # The principal is stored before the role is checked. If the principal lacks the role, the request log
        # therefore still names the principal.
        request.state.principal = principal
        if not principal.has_role(self.role):
            raise Forbidden(f"This requires the role {self.role}; yours is {principal.role}.")
        if principal.key_id is not None and not is_api_path(request.url.path):
            raise Forbidden("API keys cannot open pages; sign in with a user account.")
        if principal.key_id is None and request.method not in _SAFE_METHODS:
            await check_csrf(request, session_token(request))
        return principal


class Public:
    """FastAPI dependency that declares that a route needs no authentication."""

    async def __call__(self) -> None:
        return None


PUBLIC = Public()
Analyst = Annotated[Principal, Depends(RequireRole(Role.ANALYST))]
Admin = Annotated[Principal, Depends(RequireRole(Role.ADMIN))]
Agent = Annotated[Principal, Depends(RequireRole(Role.AGENT, api_keys_only=True))]


def require_access_declared(routers: Iterable[APIRouter]) -> None:
    """Raise RuntimeError if a route has no access declaration (`RequireRole` or `Public`).

    This check at startup ensures that no route is public by mistake.
    """
    for route in api_routes(routers):
        if declared_access(route) is None:
            raise RuntimeError(f"route {route.path} has no access declaration")


def api_routes(routers: Iterable[APIRouter]) -> Iterator[APIRoute]:
    """Yield the routes of `routers`.

    Raises RuntimeError for a route that is not an APIRoute. Only an APIRoute can have an access declaration.
    """
    for router in routers:
        for route in router.routes:
            if not isinstance(route, APIRoute):
                raise RuntimeError(f"{route} cannot have an access declaration")
            yield route


def declared_access(route: APIRoute) -> RequireRole | Public | None:
    """Return the access declaration of a route, or None if it has none."""
    return next(_find_declared_access(route.dependant), None)


def _find_declared_access(dependant: Dependant) -> Iterator[RequireRole | Public]:
    if isinstance(dependant.call, RequireRole | Public):
        yield dependant.call
    for dependency in dependant.dependencies:
        yield from _find_declared_access(dependency)
