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

from app.actions import keys, sessions
from app.domain.errors import Forbidden
from app.domain.roles import Principal, Role
from app.domain.text import storable
from app.web.errors import SignInNeeded, for_programs
from app.web.forms import read_form
from app.web.services import Services, services_of

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE = "deckwatch"
_FORM_COOKIE = "deckwatch_form"


def cookie_name(services: Services, base: str = _COOKIE) -> str:
    """With HTTPS the name has the __Host- prefix, which ties it to this very host (RFC 6265bis).

    Without HTTPS a browser would refuse such a cookie, and nobody could sign in.
    """
    return f"__Host-{base}" if services.settings.https else base


def form_cookie_name(services: Services) -> str:
    return cookie_name(services, _FORM_COOKIE)


def address_of(request: Request) -> str:
    # Behind a proxy it is what X-Forwarded-For says, of any length.
    return storable(request.client.host[:100]) if request.client else "unknown"


def browser_of(request: Request) -> str:
    return storable(request.headers.get("user-agent", "unknown"))


def session_token(request: Request) -> str | None:
    return request.cookies.get(cookie_name(services_of(request)))


def form_token(services: Services, bound_to: str) -> str:
    """What a form carries to show that it came from a page of ours; `bound_to` is the cookie's value."""
    return hmac.new(services.secret, b"form:" + bound_to.encode(), hashlib.sha256).hexdigest()


async def _principal(request: Request) -> Principal | None:
    services = services_of(request)
    header = request.headers.get("authorization")
    if header is not None:
        presented = presented_key(header)
        if presented is None:
            return None
        found = services.keyring.known(presented) or await run_in_threadpool(
            services.keyring.holder, presented
        )
        return replace(found, address=address_of(request)) if found else None
    token = session_token(request)
    if token is None:
        return None
    signed_in = await run_in_threadpool(
        sessions.signed_in,
        services.database,
        token,
        address=address_of(request),
        at=services.clock(),
    )
    return signed_in[1] if signed_in else None


def presented_key(header: str) -> str | None:
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
            return rest if rest.startswith(keys.PREFIX) else _second_half(rest)
        case "basic":
            return _second_half(rest)
        case _:
            return None


def _second_half(encoded: str) -> str | None:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return decoded.partition(":")[2] or None


def _same_origin(request: Request) -> bool:
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


async def check_form(request: Request, bound_to: str | None) -> None:
    """Raises Forbidden unless the request is from our own page and carries its token."""
    if not _same_origin(request):
        raise Forbidden("This came from another site, so nothing was done.")
    sent = request.headers.get("x-csrf-token")
    if sent is None and not for_programs(request.url.path):
        sent = (await read_form(request))["csrf"]
    services = services_of(request)
    wanted = form_token(services, bound_to or "")
    if not bound_to or not sent or not hmac.compare_digest(sent.encode(), wanted.encode()):
        raise Forbidden("This page was open for too long; load it again and repeat.")


class Access:
    """A dependency: the principal, if they hold `role`; `keys_only` leaves sessions out.

    With a session, whatever changes something also needs the form check.
    """

    def __init__(self, role: Role, *, keys_only: bool = False) -> None:
        self.role = role
        self.keys_only = keys_only

    async def __call__(
        self, request: Request, found: Annotated[Principal | None, Depends(_principal)]
    ) -> Principal:
        if found is None or (self.keys_only and found.key_id is None):
            raise SignInNeeded(
                "Present a key: Authorization: Bearer KEY."
                if for_programs(request.url.path)
                else "Sign in first."
            )
        request.state.principal = found  # for the log, which also names those who are refused
        if not found.may(self.role):
            raise Forbidden(f"This needs the role {self.role}; yours is {found.role}.")
        if found.key_id is not None and not for_programs(request.url.path):
            raise Forbidden("Keys are for the API; pages need a person who signed in.")
        if found.key_id is None and request.method not in _SAFE:
            await check_form(request, session_token(request))
        return found


class Public:
    """A dependency that says: anyone, on purpose."""

    async def __call__(self) -> None:
        return None


PUBLIC = Public()
Analyst = Annotated[Principal, Depends(Access(Role.ANALYST))]
Admin = Annotated[Principal, Depends(Access(Role.ADMIN))]
Agent = Annotated[Principal, Depends(Access(Role.AGENT, keys_only=True))]


def refuse_unguarded(routers: Iterable[APIRouter]) -> None:
    """Raises RuntimeError when a route does not say who may use it: nothing is open by oversight."""
    for route in routes_of(routers):
        if access_of(route) is None:
            raise RuntimeError(f"{route.path} does not say who may use it")


def routes_of(routers: Iterable[APIRouter]) -> Iterator[APIRoute]:
    for router in routers:
        for route in router.routes:
            if not isinstance(route, APIRoute):
                raise RuntimeError(f"{route} is not a route that can say who may use it")
            yield route


def access_of(route: APIRoute) -> Access | Public | None:
    """What a route says about who may use it."""
    return next(_found(route.dependant), None)


def _found(dependant: Dependant) -> Iterator[Access | Public]:
    if isinstance(dependant.call, Access | Public):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _found(inner)
