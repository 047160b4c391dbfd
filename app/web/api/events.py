"""`POST /api/v1/events`: a body of events in, a receipt out, after the commit."""

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
        "description": "One JSON object, an array of them, or one a line (NDJSON). "
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
    """One event that could not be read; its bytes are kept in quarantine."""

    index: int = Field(description="Place among the events of the request, from 0.")
    line: int = Field(description="Line of the body on which it starts, from 1.")
    error: str


class EventReceipt(BaseModel):
    """What became of the events of one request."""

    received: int = Field(description="All events: those accepted and those rejected.")
    matched: int = Field(description="Matches stored by this request.")
    suppressed: int = Field(description="Those of them that an exclusion covered.")
    duplicates: int = Field(description="Matches that were stored before: sent again.")
    rejected: list[RejectedEvent]


@router.post(
    PATH,
    response_model=EventReceipt,
    openapi_extra=_REQUEST_BODY,
    responses=problem_responses(*STREAMED_BODY_STATUSES),
    summary="Send events",
)
async def take_events(request: Request, agent: Agent, services: ServicesDep) -> Response:
    """Answered only after every match is durable. Sending the same event again changes nothing."""
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
                    "index": event.raw_event.index,
                    "line": event.raw_event.line,
                    "error": event.reason,
                }
                for event in receipt.rejected
            ],
        }
    )
