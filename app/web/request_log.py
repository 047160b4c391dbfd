"""Request log and request metrics.

Each request has an id. The log lines of the request and the response contain this id.

Requests are logged with the path template of their route. The path is not logged because it may contain a
one-time token, and the query is not logged because it may contain any text.
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
# Probes request these routes every few seconds, and pages request many static files. A successful request to
# one of these routes is therefore logged at level DEBUG. A failed request is logged at level INFO.
_QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/metrics", STATIC_ROUTE})
_VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
# For request ids, a pseudorandom generator suffices. It is much faster than the operating system's generator.
_random = Random()  # noqa: S311 (request ids are not secret)
_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = logging.getLogger(__name__)


def get_request_id(scope: Scope) -> str:
    """Return the id that the middleware has given to a request."""
    return str(scope.get("state", {}).get("request_id", ""))


def route_template(scope: Scope) -> str:
    """Return the path template of the route, or a constant for static files and unknown paths."""
    template = getattr(scope.get("route"), "path", None)
    if isinstance(template, str):
        return template
    return STATIC_ROUTE if str(scope["path"]).startswith(STATIC_ROUTE) else UNMATCHED_ROUTE


class RequestLogMiddleware:
    """Logs and measures every request. It is the outermost middleware, so it sees the final response."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        if not _VALID_REQUEST_ID.match(request_id):
            request_id = f"{_random.getrandbits(64):016x}"
        scope.setdefault("state", {})["request_id"] = request_id
        # The context is copied to the threads that run routes, so log lines of these threads contain the id.
        bind_contextvars(request_id=request_id)
        started = perf_counter()
        status = 0
        seconds_to_response = 0.0

        async def send_with_request_id(message: Message) -> None:
            nonlocal status, seconds_to_response
            if message["type"] == "http.response.start":
                status = message["status"]
                seconds_to_response = perf_counter() - started
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_request_id)
        except Exception:
            if status:  # the response has begun, so no error handler logs the exception
                log.exception("the response was aborted")
            raise
        finally:
            # If no response has begun, Starlette sends an error response that does not pass through this
            # middleware. The status of this response is always 500.
            status = status or 500
            seconds = perf_counter() - started
            self._metrics.record_http_request(
                route_template(scope), status, seconds_to_response or seconds
            )
            _log_request(scope, status, seconds)


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
