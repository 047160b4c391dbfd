"""Error responses: problem details (RFC 9457) for API paths, and an error page for other paths."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
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
from app.web.request_log import REQUEST_ID_HEADER, get_request_id, route_template
from app.web.services import get_services

log = logging.getLogger(__name__)


class AuthenticationRequired(DeckwatchError):
    """No user is signed in, or the API key is missing or unknown."""


STATUS_BY_ERROR: dict[type[DeckwatchError], HTTPStatus] = {
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    Conflict: HTTPStatus.CONFLICT,
    NotFound: HTTPStatus.NOT_FOUND,
    AuthenticationRequired: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    UnreadableBody: HTTPStatus.BAD_REQUEST,
    ContentTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedEncoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooManyLoginAttempts: HTTPStatus.TOO_MANY_REQUESTS,
}


_PAGE_HEADINGS = {
    400: "Invalid request",
    401: "Sign in to continue",
    403: "You don't have permission",
    404: "Page not found",
    405: "Method not allowed",
    409: "This action is not possible",
    413: "Request too large",
    422: "Invalid input",
    429: "Too many attempts",
    503: "Temporarily unavailable",
}


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Context of the error page.

    For a server error, `reference` is the request id, so that an operator can find the error in the log.
    """

    status: int
    heading: str
    text: str
    back_href: str
    back_label: str
    reference: str | None


def is_api_path(path: str) -> bool:
    """Return whether `path` belongs to the API.

    The API reference `/api/docs` is an HTML page. The function returns False for this path.
    """
    return is_elastic_path(path) or (path.startswith("/api/") and path != "/api/docs")


def install_handlers(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Register a handler for every kind of error, so that no response contains a traceback."""

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
    """Return an Allow header with the methods that the requested path supports (RFC 9110 section 15.5.6)."""
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {
        method
        for route in matching
        if route.path == matching[0].path
        for method in route.methods or ()
    }
    return {"Allow": ", ".join(sorted(methods))} if methods else {}


_DEFAULT_DETAILS = {
    404: "This page does not exist.",
    405: "This URL does not support that method.",
}


async def _on_validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = {
        ".".join(
            str(part) for part in problem["loc"] if part not in ("body", "query", "path")
        ): str(problem["msg"])
        for problem in error.errors()
    }
    if any(problem["loc"][:1] == ("path",) for problem in error.errors()):
        return error_response(request, 404, _DEFAULT_DETAILS[404])
    text = "; ".join(f"{name}: {message}" if name else message for name, message in errors.items())
    return error_response(request, 422, text, extra={"errors": errors})


async def _on_disconnect(request: Request, error: Exception) -> Response:
    """Return status 400 for a client that disconnected before it had sent its whole body.

    The client does not receive the response. The response only ensures that the log shows status 400 and not
    a server error.
    """
    return error_response(
        request, 400, "The connection closed before the end of the body. Nothing was stored."
    )


async def _on_unexpected_error(request: Request, error: Exception) -> Response:
    request_id = get_request_id(request.scope)
    log.error(
        "unexpected error",
        exc_info=error,
        extra={"request_id": request_id, "route": route_template(request.scope)},
    )
    return error_response(
        request,
        500,
        "An internal error occurred. The server log contains the details.",
        # Normally, the middleware adds these headers. Starlette sends the response to an unexpected error
        # without passing the response through the middleware, so this function adds the headers.
        headers=security_headers(https=get_services(request).settings.uses_https)
        | elastic_product_header(request.url.path)
        | {"Cache-Control": "no-store", REQUEST_ID_HEADER: request_id},
    )


def _elastic_error_type(status: int) -> str:
    """Return an error type in Elasticsearch's notation, such as "not_found_exception"."""
    return HTTPStatus(status).phrase.lower().replace(" ", "_") + "_exception"


def _redirect_to_login(request: Request) -> Response:
    return_path = "/alerts"
    if request.method == "GET":
        return_path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    login = "/login?" + urlencode({"next": return_path})
    if request.headers.get("HX-Request") == "true":
        # htmx would follow a redirect and insert the sign-in page into the current page. With HX-Redirect,
        # the browser opens the sign-in page instead.
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
    """Return problem details (RFC 9457) for an API path, otherwise an error page."""
    if is_api_path(request.url.path):
        body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase}
        body |= {"status": status, "detail": text} | (extra or {})
        body["request_id"] = get_request_id(request.scope)
        media_type = "application/problem+json"
        if is_elastic_path(request.url.path):
            # Elasticsearch's clients read the field `error`. These clients ignore the field if the media type
            # is not application/json.
            body["error"] = {"type": _elastic_error_type(status), "reason": text}
            media_type = "application/json"
        return JSONResponse(body, status, headers=headers, media_type=media_type)
    services = get_services(request)
    page = ErrorPage(
        status=status,
        heading=_PAGE_HEADINGS.get(status, HTTPStatus(status).phrase),
        text=text,
        back_href="/alerts",
        back_label="Go to alerts",
        reference=get_request_id(request.scope) if status >= 500 else None,
    )
    html = services.renderer.render_template(
        "pages/error.html", {"page": page, "frame": None}, now=services.clock()
    )
    return HTMLResponse(html, status, headers=headers)
