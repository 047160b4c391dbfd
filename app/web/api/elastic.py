"""`/elastic/…`: as much of Elasticsearch as its shippers ask for before and while they send events."""

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

# As long as Elasticsearch lets names of indices be; the answer repeats it for each event.
IndexName = Annotated[str, Path(max_length=255)]

_CLUSTER_NAME = "deckwatch"
_INFO_BODY = {
    "name": _CLUSTER_NAME,
    "cluster_name": _CLUSTER_NAME,
    "cluster_uuid": _CLUSTER_NAME,
    "version": {
        # Above any release: a Beat may insist on a server that is no older than itself.
        "number": "9.99.0",
        # Logstash and the clients of version 7 go on only for this flavour and this tag line.
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
@router.get(f"{PREFIX}/", summary="What this is, for a shipper")
@router.head(f"{PREFIX}/", include_in_schema=False)
def about(request: Request, agent: Agent) -> Response:
    return _json_response(request, json.dumps(_INFO_BODY).encode())


@router.get(f"{PREFIX}/_license", summary="A licence, as shippers want to see one")
def license_of(request: Request, agent: Agent) -> Response:
    return _json_response(request, json.dumps(_LICENSE_BODY).encode())


@router.get(f"{PREFIX}/_cluster/health", summary="Whether events are taken")
def cluster_health(request: Request, agent: Agent, services: ServicesDep) -> Response:
    _require_ready(services)
    return _json_response(request, json.dumps(_HEALTH_BODY).encode())


@router.get(
    f"{PREFIX}/_cat/health",
    summary="Whether events are taken, in a line of text",
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
    summary="The same by POST",
    responses=problem_responses(404, model=ShipperProblem),
)
@router.get(
    f"{PREFIX}/{{index}}/_refresh",
    summary="Nothing to do: what was answered is stored",
    responses=problem_responses(404, model=ShipperProblem),
)
def refresh(request: Request, index: IndexName, agent: Agent) -> Response:
    return _json_response(request, json.dumps(_REFRESH_BODY).encode())


class BulkItem(BaseModel):
    index: str = Field(alias="_index")
    id: str | None = Field(default=None, alias="_id")
    status: int = Field(description="201, or 400 for what is kept in quarantine.")
    result: str | None = None
    error: ErrorCause | None = None


class BulkAnswer(BaseModel):
    errors: bool = Field(description="Whether any item failed.")
    took: int = Field(description="Milliseconds.")
    items: list[dict[str, BulkItem]] = Field(description="By create, index, …; in order.")


_REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "description": "Lines: an action, its event, and so on. Content-Encoding: identity, gzip or zstd.",
        "content": {"application/x-ndjson": {"schema": {"type": "string", "pattern": "[!-~]"}}},
    }
}


def _bulk_route(*statuses: int) -> dict[str, Any]:
    """What the document says of a bulk request."""
    return {
        "response_model": BulkAnswer,
        "openapi_extra": _REQUEST_BODY,
        "responses": problem_responses(*STREAMED_BODY_STATUSES, *statuses, model=ShipperProblem),
    }


@router.put(f"{PREFIX}/_bulk", summary="The same by PUT", **_bulk_route())
@router.post(
    f"{PREFIX}/_bulk", summary="Send events by Elasticsearch's bulk protocol", **_bulk_route()
)
async def take_bulk(request: Request, agent: Agent, services: ServicesDep) -> Response:
    return await _ingest_bulk(request, agent, services, None)


@router.put(f"{PREFIX}/{{index}}/_bulk", summary="The same by PUT", **_bulk_route(404))
@router.post(
    f"{PREFIX}/{{index}}/_bulk",
    summary="The same, for actions that name no index",
    **_bulk_route(404),
)
async def take_bulk_of_index(
    request: Request, index: IndexName, agent: Agent, services: ServicesDep
) -> Response:
    return await _ingest_bulk(request, agent, services, index)


async def _ingest_bulk(
    request: Request, agent: Agent, services: Services, index: str | None
) -> Response:
    """Answered only after every match is durable."""
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
    """JSON, under the media type that the client asks for: its own version's, or the plain one."""
    requested = request.headers.get("accept", "") + "," + request.headers.get("content-type", "")
    found = _COMPATIBLE_MEDIA_TYPE.search(requested)
    media_type = "application/json"
    if found:
        media_type = f"application/vnd.elasticsearch+json;compatible-with={found[1]}"
    return Response(body, media_type=media_type)
