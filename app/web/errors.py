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
    InvalidInput,
    NotFound,
    Unavailable,
)
from app.ingest.decompress import UnsupportedEncoding
from app.ingest.events import ContentTooLarge, UnreadableBody
from app.web.headers import elastic_product_header, is_elastic_path, security_headers
from app.web.login_rate_limit import TooManyLoginAttempts
from app.web.pages.error_context import ErrorPage
from app.web.request_log import REQUEST_ID_HEADER, get_request_id, route_template
from app.web.services import get_services

log = logging.getLogger(__name__)

STATUS_BY_ERROR: dict[type[DeckwatchError], HTTPStatus] = {
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    Conflict: HTTPStatus.CONFLICT,
    NotFound: HTTPStatus.NOT_FOUND,
    Forbidden: HTTPStatus.FORBIDDEN,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    UnreadableBody: HTTPStatus.BAD_REQUEST,
    ContentTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedEncoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooManyLoginAttempts: HTTPStatus.TOO_MANY_REQUESTS,
}


class AuthenticationRequired(DeckwatchError):
    """Nobody is signed in, or the key is missing or unknown."""


STATUS_BY_ERROR[AuthenticationRequired] = HTTPStatus.UNAUTHORIZED

_PAGE_HEADINGS = {
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


def is_api_path(path: str) -> bool:
    """Whether this address is one that programs use; the API's reference is a page for people."""
    return is_elastic_path(path) or (path.startswith("/api/") and path != "/api/docs")


def install_handlers(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Every way in which a request can fail gets its answer here, so that none is a traceback."""

    async def on_http_error(request: Request, error: Exception) -> Response:
        return _on_http_error(request, error, routes)

    app.add_exception_handler(DeckwatchError, _on_deckwatch_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_unexpected_error)


async def _on_deckwatch_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, DeckwatchError):
        raise error
    status = next(
        (STATUS_BY_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_BY_ERROR), None
    )
    if status is None:
        return await _on_unexpected_error(request, error)
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable | TooManyLoginAttempts):
        headers["Retry-After"] = str(error.retry_after)
    extra: dict[str, Any] = {"errors": error.fields} if isinstance(error, InvalidInput) else {}
    if isinstance(error, AuthenticationRequired):
        headers["WWW-Authenticate"] = 'Bearer realm="Deckwatch", Basic realm="Deckwatch"'
        if not is_api_path(request.url.path):
            return _redirect_to_login(request)
    return error_response(request, int(status), str(error), headers=headers, extra=extra)


def _on_http_error(request: Request, error: Exception, routes: Sequence[APIRoute]) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail = str(error.detail)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers |= _allow_header(request, routes)
    if detail == HTTPStatus(error.status_code).phrase:
        detail = _DEFAULT_DETAILS.get(error.status_code, detail + ".")
    return error_response(request, error.status_code, detail, headers=headers)


def _allow_header(request: Request, routes: Sequence[APIRoute]) -> dict[str, str]:
    """All methods that the address takes (RFC 9110 section 15.5.6), not only those of one route."""
    there = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {
        method for route in there for method in route.methods or () if route.path == there[0].path
    }
    return {"Allow": ", ".join(sorted(methods))} if methods else {}


_DEFAULT_DETAILS = {
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
        return error_response(request, 404, _DEFAULT_DETAILS[404])
    text = "; ".join(f"{name}: {message}" if name else message for name, message in errors.items())
    return error_response(request, 422, text, extra={"errors": errors})


async def _on_disconnect(request: Request, error: Exception) -> Response:
    """Nobody hears it, and nothing went wrong here: an agent gave up while it was sending."""
    return error_response(
        request, 400, "The connection ended before the body did; nothing was taken."
    )


async def _on_unexpected_error(request: Request, error: Exception) -> Response:
    request_id = get_request_id(request.scope)
    log.error(
        "a mistake of ours",
        exc_info=error,
        extra={"request_id": request_id, "route": route_template(request.scope)},
    )
    return error_response(
        request,
        500,
        "Deckwatch made a mistake; the log has it under this reference.",
        # Starlette answers these outside of every middleware, so they bring their headers themselves.
        headers=security_headers(https=get_services(request).settings.uses_https)
        | elastic_product_header(request.url.path)
        | {"Cache-Control": "no-store", REQUEST_ID_HEADER: request_id},
    )


def _elastic_error_type(status: int) -> str:
    """What Elasticsearch calls it: lower case, and an exception."""
    return HTTPStatus(status).phrase.lower().replace(" ", "_") + "_exception"


def _redirect_to_login(request: Request) -> Response:
    back = request.url.path
    if request.method == "GET" and request.url.query:
        back += "?" + request.url.query
    login = "/login?" + urlencode({"next": back if request.method == "GET" else "/alerts"})
    if request.headers.get("HX-Request") == "true":
        # A redirect would be followed inside the page; this makes the browser go there.
        return Response(status_code=401, headers={"HX-Redirect": login})
    return RedirectResponse(login, status_code=303)


def error_response(
    request: Request,
    status: int,
    text: str,
    *,
    headers: dict[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> Response:
    """The error as RFC 9457 problem details, or as a page."""
    heading = _PAGE_HEADINGS.get(status, HTTPStatus(status).phrase)
    if is_api_path(request.url.path):
        body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase}
        body |= {"status": status, "detail": text} | (extra or {})
        body["request_id"] = get_request_id(request.scope)
        kind = "application/problem+json"
        if is_elastic_path(request.url.path):
            # Elasticsearch's own clients read these, and no other type of media.
            body["error"] = {"type": _elastic_error_type(status), "reason": text}
            kind = "application/json"
        return JSONResponse(body, status, headers=headers, media_type=kind)
    services = get_services(request)
    page = ErrorPage(
        status=status,
        heading=heading,
        text=text,
        back_href="/alerts",
        back_label="To the alerts",
        reference=get_request_id(request.scope) if status >= 500 else None,
    )
    html = services.renderer.render_template(
        "pages/error.html", {"page": page, "frame": None}, now=services.clock()
    )
    return HTMLResponse(html, status, headers=headers)
