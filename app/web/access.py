"""Who is asking, and what they may do. A route that does not say who may use it stops the start."""

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


def session_cookie_name(services: Services, base: str = _SESSION_COOKIE) -> str:
    """With HTTPS the name has the __Host- prefix, which ties it to this very host (RFC 6265bis).

    Without HTTPS a browser would refuse such a cookie, and nobody could sign in.
    """
    return f"__Host-{base}" if services.settings.uses_https else base


def csrf_cookie_name(services: Services) -> str:
    return session_cookie_name(services, _CSRF_COOKIE)


def client_address(request: Request) -> str:
    # Behind a proxy it is what X-Forwarded-For says, of any length.
    return escape_unstorable(request.client.host[:100]) if request.client else "unknown"


def user_agent(request: Request) -> str:
    return escape_unstorable(request.headers.get("user-agent", "unknown"))


def session_token(request: Request) -> str | None:
    return request.cookies.get(session_cookie_name(get_services(request)))


def csrf_token(services: Services, cookie_value: str) -> str:
    """What a form carries to show that it came from a page of ours; `bound_to` is the cookie's value."""
    return hmac.new(services.secret, b"form:" + cookie_value.encode(), hashlib.sha256).hexdigest()


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
    """The key in an Authorization header, however it is dressed; None when it is in none of the ways.

    `Bearer KEY` (RFC 6750), `ApiKey KEY`, `ApiKey base64(id:KEY)` (Elasticsearch), and Basic with the
    key as the password (RFC 7617).
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
    """Whether the browser says that the request comes from our own pages.

    Sec-Fetch-Site (Fetch Metadata) when sent, else Origin; a client that sends neither is no browser
    that another site could drive, and still needs the form's token.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:  # such as http://[, which no browser sends
        return False


async def check_csrf(request: Request, cookie_value: str | None) -> None:
    """Raises Forbidden unless the request is from our own page and carries its token."""
    if not _is_same_origin(request):
        raise Forbidden("This came from another site, so nothing was done.")
    sent = request.headers.get("x-csrf-token")
    if sent is None and not is_api_path(request.url.path):
        sent = (await read_form(request))["csrf"]
    services = get_services(request)
    wanted = csrf_token(services, cookie_value or "")
    if not cookie_value or not sent or not hmac.compare_digest(sent.encode(), wanted.encode()):
        raise Forbidden("This page was open for too long; load it again and repeat.")


class RequireRole:
    """A dependency: the principal, if they hold `role`; `keys_only` leaves sessions out.

    With a session, whatever changes something also needs the form check.
    """

    def __init__(self, role: Role, *, api_keys_only: bool = False) -> None:
        self.role = role
        self.api_keys_only = api_keys_only

    async def __call__(
        self, request: Request, principal: Annotated[Principal | None, Depends(_authenticate)]
    ) -> Principal:
        if principal is None or (self.api_keys_only and principal.key_id is None):
            raise AuthenticationRequired(
                "Present a key: Authorization: Bearer KEY."
                if is_api_path(request.url.path)
                else "Sign in first."
            )
        request.state.principal = principal  # for the log, which also names those who are refused
        if not principal.has_role(self.role):
            raise Forbidden(f"This needs the role {self.role}; yours is {principal.role}.")
        if principal.key_id is not None and not is_api_path(request.url.path):
            raise Forbidden("Keys are for the API; pages need a person who signed in.")
        if principal.key_id is None and request.method not in _SAFE_METHODS:
            await check_csrf(request, session_token(request))
        return principal


class Public:
    """A dependency that says: anyone, on purpose."""

    async def __call__(self) -> None:
        return None


PUBLIC = Public()
Analyst = Annotated[Principal, Depends(RequireRole(Role.ANALYST))]
Admin = Annotated[Principal, Depends(RequireRole(Role.ADMIN))]
Agent = Annotated[Principal, Depends(RequireRole(Role.AGENT, api_keys_only=True))]


def require_access_declared(routers: Iterable[APIRouter]) -> None:
    """Raises RuntimeError when a route does not say who may use it: nothing is open by oversight."""
    for route in api_routes(routers):
        if declared_access(route) is None:
            raise RuntimeError(f"{route.path} does not say who may use it")


def api_routes(routers: Iterable[APIRouter]) -> Iterator[APIRoute]:
    for router in routers:
        for route in router.routes:
            if not isinstance(route, APIRoute):
                raise RuntimeError(f"{route} is not a route that can say who may use it")
            yield route


def declared_access(route: APIRoute) -> RequireRole | Public | None:
    """What a route says about who may use it."""
    return next(_find_declared_access(route.dependant), None)


def _find_declared_access(dependant: Dependant) -> Iterator[RequireRole | Public]:
    if isinstance(dependant.call, RequireRole | Public):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _find_declared_access(inner)
