"""Errors to answers: a status, and words for whoever asked. A program gets RFC 9457, a person a page."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Match

from app.domain.errors import (
    Conflict,
    DeckwatchError,
    Forbidden,
    Invalid,
    NotFound,
    Unavailable,
)
from app.ingest.body import UnknownEncoding, UnreadableBody
from app.ingest.lines import TooLarge
from app.web.headers import for_shippers, product_header, security_headers
from app.web.limits import TooManyTries
from app.web.pages.error_context import ErrorPage
from app.web.request_log import HEADER, request_id_of, route_of
from app.web.services import services_of

log = logging.getLogger(__name__)

STATUS: dict[type[DeckwatchError], HTTPStatus] = {
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    Conflict: HTTPStatus.CONFLICT,
    NotFound: HTTPStatus.NOT_FOUND,
    Forbidden: HTTPStatus.FORBIDDEN,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    UnreadableBody: HTTPStatus.BAD_REQUEST,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnknownEncoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooManyTries: HTTPStatus.TOO_MANY_REQUESTS,
}


class SignInNeeded(DeckwatchError):
    """Nobody is signed in, or the key is missing or unknown."""


STATUS[SignInNeeded] = HTTPStatus.UNAUTHORIZED

_HEADINGS = {
    400: "That request cannot be read",
    401: "Sign in first",
    403: "That is not yours to do",
    404: "Nothing here",
    405: "That cannot be done here",
    409: "This changed meanwhile",
    413: "That is too large",
    422: "Something does not fit",
    429: "Too many tries",
    503: "Not now",
}


def for_programs(path: str) -> bool:
    """Whether this address is one that programs use; the API's reference is a page for people."""
    return for_shippers(path) or (path.startswith("/api/") and path != "/api/docs")


def install(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Every way in which a request can fail gets its answer here, so that none is a traceback."""

    async def on_http_error(request: Request, error: Exception) -> Response:
        return _on_http_error(request, error, routes)

    app.add_exception_handler(DeckwatchError, _on_our_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_any_error)


async def _on_our_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, DeckwatchError):
        raise error
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if status is None:
        return await _on_any_error(request, error)
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable | TooManyTries):
        headers["Retry-After"] = str(error.retry_after)
    extra: dict[str, Any] = {"errors": error.fields} if isinstance(error, Invalid) else {}
    if isinstance(error, SignInNeeded):
        headers["WWW-Authenticate"] = 'Bearer realm="Deckwatch", Basic realm="Deckwatch"'
        if not for_programs(request.url.path):
            return _to_login(request)
    return answer(request, int(status), str(error), headers=headers, extra=extra)


def _on_http_error(request: Request, error: Exception, routes: Sequence[APIRoute]) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail = str(error.detail)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers |= _allowed(request, routes)
    if detail == HTTPStatus(error.status_code).phrase:
        detail = _DETAILS.get(error.status_code, detail + ".")
    return answer(request, error.status_code, detail, headers=headers)


def _allowed(request: Request, routes: Sequence[APIRoute]) -> dict[str, str]:
    """All methods that the address takes (RFC 9110 section 15.5.6), not only those of one route."""
    there = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {
        method for route in there for method in route.methods or () if route.path == there[0].path
    }
    return {"Allow": ", ".join(sorted(methods))} if methods else {}


_DETAILS = {
    404: "There is no such page, or it is gone.",
    405: "This address does not take that method.",
}


async def _on_validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = {
        ".".join(str(part) for part in one["loc"] if part not in ("body", "query", "path")): str(
            one["msg"]
        )
        for one in error.errors()
    }
    if any(one["loc"][:1] == ("path",) for one in error.errors()):
        return answer(request, 404, _DETAILS[404])
    text = "; ".join(f"{name}: {message}" if name else message for name, message in errors.items())
    return answer(request, 422, text, extra={"errors": errors})


async def _on_disconnect(request: Request, error: Exception) -> Response:
    """Nobody hears it, and nothing went wrong here: an agent gave up while it was sending."""
    return answer(request, 400, "The connection ended before the body did; nothing was taken.")


async def _on_any_error(request: Request, error: Exception) -> Response:
    request_id = request_id_of(request.scope)
    log.error(
        "a mistake of ours",
        exc_info=error,
        extra={"request_id": request_id, "route": route_of(request.scope)},
    )
    return answer(
        request,
        500,
        "Deckwatch made a mistake; the log has it under this reference.",
        # Starlette answers these outside of every middleware, so they bring their headers themselves.
        headers=security_headers(https=services_of(request).settings.https)
        | product_header(request.url.path)
        | {"Cache-Control": "no-store", HEADER: request_id},
    )


def _exception(status: int) -> str:
    """What Elasticsearch calls it: lower case, and an exception."""
    return HTTPStatus(status).phrase.lower().replace(" ", "_") + "_exception"


def _to_login(request: Request) -> Response:
    back = request.url.path
    if request.method == "GET" and request.url.query:
        back += "?" + request.url.query
    login = "/login?" + urlencode({"next": back if request.method == "GET" else "/alerts"})
    if request.headers.get("HX-Request") == "true":
        # A redirect would be followed inside the page; this makes the browser go there.
        return Response(status_code=401, headers={"HX-Redirect": login})
    return RedirectResponse(login, status_code=303)


def answer(
    request: Request,
    status: int,
    text: str,
    *,
    headers: dict[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> Response:
    """The error as RFC 9457 problem details, or as a page."""
    heading = _HEADINGS.get(status, HTTPStatus(status).phrase)
    if for_programs(request.url.path):
        body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase}
        body |= {"status": status, "detail": text} | (extra or {})
        body["request_id"] = request_id_of(request.scope)
        kind = "application/problem+json"
        if for_shippers(request.url.path):
            # Elasticsearch's own clients read these, and no other type of media.
            body["error"] = {"type": _exception(status), "reason": text}
            kind = "application/json"
        return JSONResponse(body, status, headers=headers, media_type=kind)
    services = services_of(request)
    page = ErrorPage(
        status=status,
        heading=heading,
        text=text,
        back_href="/alerts",
        back_label="To the alerts",
        reference=request_id_of(request.scope) if status >= 500 else None,
    )
    html = services.renderer.page(
        "pages/error.html", {"page": page, "shell": None}, now=services.clock()
    )
    return HTMLResponse(html, status, headers=headers)
