"""The OpenAPI document: what FastAPI finds out, and what it cannot: who may ask, and how requests fail."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from app import __version__
from app.web.access import RequireRole, declared_access

TITLE = "Deckwatch"
SUMMARY = "SSH in containers: events in, alerts out."

# Whoever needs a key can be refused for it, or find that the database cannot be read.
AUTH_STATUSES = (401, 403, 503)
# A body can also be cut off, come too slowly, be too large, or say what does not fit.
JSON_BODY_STATUSES = (400, 408, 413, 422)
STREAMED_BODY_STATUSES = (400, 408, 413, 415)

_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The key."},
    "basic": {"type": "http", "scheme": "basic", "description": "The key as the password."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "ApiKey KEY, or ApiKey base64(id:KEY) as Elasticsearch's clients send it.",
    },
}
_STATUS_DESCRIPTIONS = {
    400: "The request cannot be read.",
    401: "No key, or one that is not known.",
    403: "The role of the key does not allow this.",
    404: "There is no such thing.",
    408: "The body came too slowly; nothing of it was taken.",
    409: "It changed meanwhile, or is not in a state for this.",
    413: "The body is too large.",
    415: "A Content-Encoding that is not read here.",
    422: "Something does not fit; `errors` says what.",
    503: "Not now; nothing was taken or changed. Retry-After says when to try again.",
}


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What is wrong and what to do, for a person.")
    request_id: str = Field(description="The log has it too.")
    errors: dict[str, str] = Field(default={}, description="By field, for 422.")


class ErrorCause(BaseModel):
    type: str
    reason: str


class ShipperProblem(Problem):
    """The same as Elasticsearch's clients read it."""

    error: ErrorCause


def problem_responses(
    *statuses: int, model: type[Problem] = Problem
) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`."""
    return {
        status: {"model": model, "description": _STATUS_DESCRIPTIONS[status]} for status in statuses
    }


def build_document(routers: Iterable[APIRouter]) -> dict[str, Any]:
    """The document for the routes of `routers` that programs use: those with a tag."""
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
    # FastAPI's own, which nothing here answers.
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    return document


_PROBLEM_MEDIA_TYPES = {
    Problem.__name__: "application/problem+json",
    ShipperProblem.__name__: "application/json",
}


def _set_problem_media_types(responses: dict[str, Any]) -> None:
    """A problem has a media type of its own, whatever that of the answer to what goes well."""
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
