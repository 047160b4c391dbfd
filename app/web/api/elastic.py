"""API for log shippers, such as Filebeat: a part of Elasticsearch's API.

Log shippers use this part to connect to a server and to send events.
"""

import json
import re
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse, Response

from app.domain.errors import Unavailable
from app.ingest.bulk import BulkSplitter
from app.ingest.events import MAX_EVENTS_PER_REQUEST
from app.web.access import Agent
from app.web.api.openapi import (
    AUTH_STATUSES,
    STREAMED_BODY_STATUSES,
    ErrorCause,
    ShipperProblem,
    problem_responses,
)
from app.web.services import Services, ServicesDep

router = APIRouter(
    tags=["elastic"], responses=problem_responses(*AUTH_STATUSES, model=ShipperProblem)
)
PREFIX = "/elastic"

# The maximum length is Elasticsearch's limit for index names. Without a limit, the bulk response could become
# very large, because it repeats the name for each event.
IndexName = Annotated[str, Path(max_length=255)]

_CLUSTER_NAME = "deckwatch"
_INFO_BODY = {
    "name": _CLUSTER_NAME,
    "cluster_name": _CLUSTER_NAME,
    "cluster_uuid": _CLUSTER_NAME,
    "version": {
        # A Beat, such as Filebeat, may refuse a server whose version is lower than the version of the Beat.
        # This version is therefore higher than the versions of all released Beats.
        "number": "9.99.0",
        # Logstash and Elasticsearch clients of version 7 require this value and the tagline below.
        "build_flavor": "default",
        "build_type": "unknown",
        "build_hash": "unknown",
        "build_date": "2026-01-01T00:00:00.000Z",
        "build_snapshot": False,
        "lucene_version": "10.0.0",
        "minimum_wire_compatibility_version": "8.0.0",
        "minimum_index_compatibility_version": "8.0.0",
    },
    "tagline": "You Know, for Search",
}
_LICENSE_BODY = {
    "license": {
        "status": "active",
        "uid": _CLUSTER_NAME,
        "type": "basic",
        "issued_to": _CLUSTER_NAME,
    }
}
_HEALTH_BODY = {
    "cluster_name": _CLUSTER_NAME,
    "status": "green",
    "timed_out": False,
    "number_of_nodes": 1,
    "number_of_data_nodes": 1,
    "active_primary_shards": 0,
    "active_shards": 0,
    "relocating_shards": 0,
    "initializing_shards": 0,
    "unassigned_shards": 0,
    "number_of_pending_tasks": 0,
    "active_shards_percent_as_number": 100.0,
}
_REFRESH_BODY = {"_shards": {"total": 1, "successful": 1, "failed": 0}}


@router.api_route(PREFIX, methods=["GET", "HEAD"], include_in_schema=False)
@router.get(f"{PREFIX}/", summary="Product and version, as Elasticsearch reports them")
@router.head(f"{PREFIX}/", include_in_schema=False)
def about(request: Request, agent: Agent) -> Response:
    return _json_response(request, json.dumps(_INFO_BODY).encode())


@router.get(f"{PREFIX}/_license", summary="Licence, as Elasticsearch reports it")
def license_of(request: Request, agent: Agent) -> Response:
    return _json_response(request, json.dumps(_LICENSE_BODY).encode())


@router.get(f"{PREFIX}/_cluster/health", summary="Health: whether events are accepted")
def cluster_health(request: Request, agent: Agent, services: ServicesDep) -> Response:
    _require_ready(services)
    return _json_response(request, json.dumps(_HEALTH_BODY).encode())


@router.get(
    f"{PREFIX}/_cat/health",
    summary="Health: whether events are accepted, as a line of text",
    response_class=PlainTextResponse,
)
def cat_health(agent: Agent, services: ServicesDep) -> Response:
    _require_ready(services)
    now = services.clock()
    return PlainTextResponse(
        f"{now:%s} {now:%H:%M:%S} {_CLUSTER_NAME} green 1 1 0 0 0 0 0 0 - 100.0%\n"
    )


def _require_ready(services: Services) -> None:
    problem = services.readiness.problem()
    if problem is not None:
        raise Unavailable(problem)


@router.post(
    f"{PREFIX}/{{index}}/_refresh",
    summary="Refresh an index (no effect; alias for GET)",
    responses=problem_responses(404, model=ShipperProblem),
)
@router.get(
    f"{PREFIX}/{{index}}/_refresh",
    summary="Refresh an index (no effect: accepted events are already stored)",
    responses=problem_responses(404, model=ShipperProblem),
)
def refresh(request: Request, index: IndexName, agent: Agent) -> Response:
    return _json_response(request, json.dumps(_REFRESH_BODY).encode())


class BulkItem(BaseModel):
    index: str = Field(alias="_index")
    id: str | None = Field(default=None, alias="_id")
    status: int = Field(description="201, or 400 for a rejected event, which is quarantined.")
    result: str | None = None
    error: ErrorCause | None = None


class BulkAnswer(BaseModel):
    errors: bool = Field(description="Whether any item was rejected.")
    took: int = Field(description="Duration in milliseconds.")
    items: list[dict[str, BulkItem]] = Field(
        description="One item per action, in order, keyed by the action (create, index, …)."
    )


_REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "description": "NDJSON: alternating lines of an action and its event. "
        "Content-Encoding: identity, gzip or zstd.",
        "content": {"application/x-ndjson": {"schema": {"type": "string", "pattern": "[!-~]"}}},
    }
}


def _bulk_route(*statuses: int) -> dict[str, Any]:
    """Return the route arguments for the OpenAPI description of a bulk route.

    All bulk routes can fail with STREAMED_BODY_STATUSES. `statuses` are the additional error statuses of one
    route, such as 404.
    """
    return {
        "response_model": BulkAnswer,
        "openapi_extra": _REQUEST_BODY,
        "responses": problem_responses(*STREAMED_BODY_STATUSES, *statuses, model=ShipperProblem),
    }


@router.put(f"{PREFIX}/_bulk", summary="Bulk request (alias for POST)", **_bulk_route())
@router.post(
    f"{PREFIX}/_bulk",
    summary="Bulk request: send events by Elasticsearch's bulk protocol",
    **_bulk_route(),
)
async def take_bulk(request: Request, agent: Agent, services: ServicesDep) -> Response:
    return await _ingest_bulk(request, agent, services, None)


@router.put(
    f"{PREFIX}/{{index}}/_bulk",
    summary="Bulk request for an index (alias for POST)",
    **_bulk_route(404),
)
@router.post(
    f"{PREFIX}/{{index}}/_bulk",
    summary="Bulk request with a default index for its actions",
    **_bulk_route(404),
)
async def take_bulk_of_index(
    request: Request, index: IndexName, agent: Agent, services: ServicesDep
) -> Response:
    return await _ingest_bulk(request, agent, services, index)


async def _ingest_bulk(
    request: Request, agent: Agent, services: Services, index: str | None
) -> Response:
    """Ingest a bulk request, and respond after all its matches are committed to the database."""
    started = perf_counter()
    splitter = BulkSplitter(
        index=index,
        max_event_bytes=services.settings.max_event_bytes,
        max_line_bytes=services.settings.max_body_bytes,
        max_events=MAX_EVENTS_PER_REQUEST,
    )
    receipt = await services.pipeline.ingest_stream(
        request.stream(),
        encoding=request.headers.get("content-encoding", ""),
        key_id=agent.key_id or 0,
        splitter=splitter,
    )
    took = int((perf_counter() - started) * 1000)
    return _json_response(request, splitter.response_body(receipt.rejected, took=took))


_COMPATIBLE_MEDIA_TYPE = re.compile(
    r"application/vnd\.elasticsearch\+[a-z-]+ *; *compatible-with=([89])\b"
)


def _json_response(request: Request, body: bytes) -> Response:
    """Return a JSON response with the media type that the client expects.

    A client can request version 8 or 9 of Elasticsearch's media type. For version 9, the media type of the
    response is `application/vnd.elasticsearch+json;compatible-with=9`. If the client requests no version, the
    media type is `application/json`.
    """
    requested = request.headers.get("accept", "") + "," + request.headers.get("content-type", "")
    compatible = _COMPATIBLE_MEDIA_TYPE.search(requested)
    media_type = "application/json"
    if compatible:
        media_type = f"application/vnd.elasticsearch+json;compatible-with={compatible[1]}"
    return Response(body, media_type=media_type)
