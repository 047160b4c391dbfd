"""One line and one figure for every request, under an id that the answer carries too.

Addresses are told as the templates of their routes: a path may hold a one-time token, a query anything.
"""

import logging
import re
from random import Random
from time import perf_counter
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from app.domain.principal import Principal
from app.web.metrics import Metrics
from app.web.rendering import STATIC_URL

REQUEST_ID_HEADER = "X-Request-ID"
UNMATCHED_ROUTE = "unmatched"
STATIC_ROUTE = STATIC_URL + "/"
# Asked every few seconds by machines, or many times a page: told only when they fail.
_QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/metrics", STATIC_ROUTE})
_VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
# Asking the system for each id takes far longer.
_random = Random()  # noqa: S311 (tells requests apart, and is no secret)
_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = logging.getLogger(__name__)


def get_request_id(scope: Scope) -> str:
    """The id of a request that this middleware has seen."""
    return str(scope.get("state", {}).get("request_id", ""))


def route_template(scope: Scope) -> str:
    """The template of the route that took the request, or another of few words."""
    template = getattr(scope.get("route"), "path", None)
    if isinstance(template, str):
        return template
    return STATIC_ROUTE if str(scope["path"]).startswith(STATIC_ROUTE) else UNMATCHED_ROUTE


class RequestLogMiddleware:
    """The outermost of the middlewares, so that it tells what was answered in the end."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = given if _VALID_REQUEST_ID.match(given) else f"{_random.getrandbits(64):016x}"
        scope.setdefault("state", {})["request_id"] = request_id
        # Also for what routes log on threads of their own, which get a copy of this context.
        bind_contextvars(request_id=request_id)
        started = perf_counter()
        status = 0
        waited = 0.0

        async def send_with_request_id(message: Message) -> None:
            nonlocal status, waited
            if message["type"] == "http.response.start":
                status = message["status"]
                waited = perf_counter() - started
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_request_id)
        except Exception:
            if status:  # too late for a page about it, so nobody else tells
                log.exception("the answer broke off")
            raise
        finally:
            # Without a status the answer is made further out, and is always the same.
            self._metrics.record_http_request(
                route_template(scope), status or 500, waited or perf_counter() - started
            )
            _log_request(scope, status or 500, perf_counter() - started)


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    route = route_template(scope)
    level = logging.DEBUG if route in _QUIET_ROUTES and status < 400 else logging.INFO
    method = scope["method"] if scope["method"] in _KNOWN_METHODS else "other"
    fields: dict[str, Any] = {
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
    }
    log.log(
        level, "request", extra=fields | _principal_fields(scope.get("state", {}).get("principal"))
    )


def _principal_fields(principal: Principal | None) -> dict[str, Any]:
    if principal is None:
        return {}
    return (
        {"key_id": principal.key_id} if principal.key_id is not None else {"user": principal.name}
    )
