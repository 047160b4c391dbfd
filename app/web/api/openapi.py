"""The OpenAPI document: FastAPI's, with security requirements and error responses added."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from app import __version__
from app.web.access import RequireRole, declared_access

TITLE = "Deckwatch"
SUMMARY = "Detection of SSH in containers: send events, handle alerts."

# Error statuses of routes that require authentication, which reads the database.
AUTH_STATUSES = (401, 403, 503)
# Error statuses of routes that read a body.
JSON_BODY_STATUSES = (400, 408, 413, 422)
STREAMED_BODY_STATUSES = (400, 408, 413, 415)

_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The API key."},
    "basic": {"type": "http", "scheme": "basic", "description": "The API key as the password."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`ApiKey KEY`, or `ApiKey base64(id:KEY)` as Elasticsearch's clients send it.",
    },
}
_STATUS_DESCRIPTIONS = {
    400: "The request is invalid or incomplete.",
    401: "The API key is missing or unknown.",
    403: "The role does not permit this.",
    404: "The resource does not exist.",
    408: "The body arrived too slowly. Nothing was stored.",
    409: "The resource was changed meanwhile, or its state does not allow this.",
    413: "The body is too large.",
    415: "The Content-Encoding is not supported.",
    422: "The input is invalid; `errors` lists the fields.",
    503: "Temporarily unavailable. Nothing was stored or changed; retry after `Retry-After` seconds.",
}


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="Explanation for a user, with a hint what to do.")
    request_id: str = Field(description="Id of the request in the log.")
    errors: dict[str, str] = Field(default={}, description="Messages by field, for status 422.")


class ErrorCause(BaseModel):
    type: str
    reason: str


class ShipperProblem(Problem):
    """Problem details with the error object that Elasticsearch's clients read."""

    error: ErrorCause


def problem_responses(
    *statuses: int, model: type[Problem] = Problem
) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` argument of a route that can fail with `statuses`."""
    return {
        status: {"model": model, "description": _STATUS_DESCRIPTIONS[status]} for status in statuses
    }


def build_document(routers: Iterable[APIRouter]) -> dict[str, Any]:
    """Return the OpenAPI document of all routes with a tag; pages have none."""
    routes = [
        route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.tags and route.include_in_schema
    ]
    route_names: set[str] = set()
    document = get_openapi(title=TITLE, version=__version__, summary=SUMMARY, routes=routes)
    for route in routes:
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            operation["operationId"] = (
                route.name if route.name not in route_names else f"{route.name}_by_{method.lower()}"
            )
            route_names.add(route.name)
            _set_problem_media_types(operation["responses"])
            if isinstance(declared_access(route), RequireRole):
                operation["security"] = [{name: []} for name in _SECURITY_SCHEMES]
    components = document["components"]
    components["securitySchemes"] = _SECURITY_SCHEMES
    # Schemas that FastAPI adds for its own error responses, which Deckwatch replaces.
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    return document


_PROBLEM_MEDIA_TYPES = {
    Problem.__name__: "application/problem+json",
    ShipperProblem.__name__: "application/json",
}


def _set_problem_media_types(responses: dict[str, Any]) -> None:
    """Set the media type of error responses; FastAPI uses that of the successful response."""
    for status, response in list(responses.items()):
        for content in list(response.get("content", {}).values()):
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if name == "HTTPValidationError":
                del responses[status]
            elif name in _PROBLEM_MEDIA_TYPES:
                response["content"] = {_PROBLEM_MEDIA_TYPES[name]: content}
                if status == "503":
                    response["headers"] = {"Retry-After": _RETRY_AFTER_HEADER}


_RETRY_AFTER_HEADER = {"schema": {"type": "integer"}, "description": "Seconds."}
