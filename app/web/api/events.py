"""API for agents: `POST /api/v1/events` ingests events and returns a receipt after the commit."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from app.web.access import Agent
from app.web.api.openapi import AUTH_STATUSES, STREAMED_BODY_STATUSES, problem_responses
from app.web.services import ServicesDep

router = APIRouter(tags=["events"], responses=problem_responses(*AUTH_STATUSES))
PATH = "/api/v1/events"

_REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "description": "A JSON object, an array of objects, or one object per line (NDJSON). "
        "Content-Encoding: identity, gzip or zstd.",
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        {"type": "object"},
                        {"type": "array", "items": {"type": "object"}},
                    ]
                }
            },
            "application/x-ndjson": {"schema": {"type": "string", "pattern": "[!-~]"}},
        },
    }
}


class RejectedEvent(BaseModel):
    """An event that could not be parsed. Its bytes are kept in quarantine."""

    index: int = Field(description="Index among the events of the request, from 0.")
    line: int = Field(description="Line of the body on which the event starts, from 1.")
    error: str
    repeated: bool = Field(
        description="Whether this key has sent the same bytes before and they are still in quarantine."
    )


class EventReceipt(BaseModel):
    """The result of ingesting the events of one request."""

    received: int = Field(description="Number of events, accepted and rejected.")
    matched: int = Field(description="Number of matches stored by this request.")
    suppressed: int = Field(
        description="Number of the stored matches that an exclusion suppressed."
    )
    duplicates: int = Field(description="Number of matches that were already stored.")
    rejected: list[RejectedEvent]


@router.post(
    PATH,
    response_model=EventReceipt,
    openapi_extra=_REQUEST_BODY,
    responses=problem_responses(*STREAMED_BODY_STATUSES),
    summary="Send events",
)
async def take_events(request: Request, agent: Agent, services: ServicesDep) -> Response:
    """The response is sent after all matches are committed to the database.

    If an agent sends an event again, its matches are not stored again; `duplicates` counts them.
    """
    receipt = await services.pipeline.ingest_stream(
        request.stream(),
        encoding=request.headers.get("content-encoding", ""),
        key_id=agent.key_id or 0,
    )
    return JSONResponse(
        {
            "received": receipt.received,
            "matched": receipt.matched,
            "suppressed": receipt.suppressed,
            "duplicates": receipt.duplicates,
            "rejected": [
                {
                    "index": rejection.event.raw_event.index,
                    "line": rejection.event.raw_event.line,
                    "error": rejection.event.reason,
                    "repeated": rejection.digest in receipt.repeated,
                }
                for rejection in receipt.rejected
            ],
        }
    )
