"""Elasticsearch's index and create APIs: one event per request."""

import json
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from app.ingest.events import NewRejection
from app.web.access import Agent
from app.web.api.elastic import PREFIX, IndexName, elastic_response
from app.web.api.openapi import (
    AUTH_STATUSES,
    STREAMED_BODY_STATUSES,
    ShipperProblem,
    problem_responses,
)
from app.web.errors import elastic_error, error_response
from app.web.services import Services, ServicesDep

router = APIRouter(
    tags=["elastic"], responses=problem_responses(*AUTH_STATUSES, model=ShipperProblem)
)

# The maximum length is the limit of Elasticsearch, which counts bytes. An id may contain slashes.
DocumentId = Annotated[str, Path(min_length=1, max_length=512)]


class IndexAnswer(BaseModel):
    index: str = Field(alias="_index")
    id: str = Field(alias="_id")
    version: int = Field(alias="_version")
    result: str = Field(
        description="created; or noop for a rejected event that is already in quarantine."
    )


_ROUTE: dict[str, Any] = {
    "status_code": 201,
    "response_model": IndexAnswer,
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "One event. Content-Encoding: identity, gzip or zstd.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
    "responses": problem_responses(*STREAMED_BODY_STATUSES, 404, model=ShipperProblem)
    | {
        200: {
            "model": IndexAnswer,
            "description": "The event was rejected before; it is in quarantine.",
        }
    },
}


@router.put(f"{PREFIX}/{{index}}/_doc", summary="Send one event (alias for POST)", **_ROUTE)
@router.post(f"{PREFIX}/{{index}}/_doc", summary="Send one event", **_ROUTE)
async def index_document(
    request: Request, index: IndexName, agent: Agent, services: ServicesDep
) -> Response:
    return await _ingest_document(request, agent, services, index, None)


@router.put(
    f"{PREFIX}/{{index}}/_doc/{{document_id:path}}",
    summary="Send one event with an id (alias for POST)",
    **_ROUTE,
)
@router.post(
    f"{PREFIX}/{{index}}/_doc/{{document_id:path}}",
    summary="Send one event with an id, which only the response repeats",
    **_ROUTE,
)
async def index_document_with_id(
    request: Request, index: IndexName, document_id: DocumentId, agent: Agent, services: ServicesDep
) -> Response:
    return await _ingest_document(request, agent, services, index, document_id)


@router.put(
    f"{PREFIX}/{{index}}/_create/{{document_id:path}}",
    summary="Create one event with an id (alias for POST)",
    **_ROUTE,
)
@router.post(
    f"{PREFIX}/{{index}}/_create/{{document_id:path}}",
    summary="Create one event with an id, which only the response repeats",
    **_ROUTE,
)
async def create_document(
    request: Request, index: IndexName, document_id: DocumentId, agent: Agent, services: ServicesDep
) -> Response:
    return await _ingest_document(request, agent, services, index, document_id)


async def _ingest_document(
    request: Request, agent: Agent, services: Services, index: str, document_id: str | None
) -> Response:
    """Ingest the body and respond after its matches are stored durably.

    A duplicate gets 201 like a new event, as in a bulk request. A body with several events is accepted; it is
    rejected as a whole only in the response, if one of them is rejected.
    """
    receipt = await services.pipeline.ingest_stream(
        request.stream(),
        encoding=request.headers.get("content-encoding", ""),
        key_id=agent.key_id or 0,
    )
    new_rejections = [
        rejection for rejection in receipt.rejected if rejection.digest not in receipt.repeated
    ]
    if new_rejections:
        return _rejection_response(request, new_rejections[0])
    body = {
        "_index": index,
        "_id": secrets.token_urlsafe(15) if document_id is None else document_id,
        "_version": 1,
        "result": "noop" if receipt.rejected else "created",
        "_shards": {"total": 1, "successful": 1, "failed": 0},
        "_seq_no": 0,
        "_primary_term": 1,
    }
    status = 200 if receipt.rejected else 201
    return elastic_response(request, json.dumps(body).encode(), status)


def _rejection_response(request: Request, rejection: NewRejection) -> Response:
    reason = rejection.event.reason
    extra = {"error": elastic_error("document_parsing_exception", reason)}
    return error_response(request, 400, reason, extra=extra)
