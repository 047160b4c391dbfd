"""Health checks, metrics, the stream of live updates, and the OpenAPI document."""

from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from app.web.access import PUBLIC, Analyst
from app.web.api.openapi import AUTH_STATUSES, problem_responses
from app.web.metrics import CONTENT_TYPE
from app.web.services import ServicesDep

router = APIRouter(tags=["system"])


@router.get("/healthz", dependencies=[Depends(PUBLIC)], summary="Liveness check")
def healthz() -> dict[str, str]:
    return {"status": "alive"}


class ReadyOut(BaseModel):
    status: Literal["ready", "not ready"]
    reason: str | None = None


@router.get(
    "/readyz",
    dependencies=[Depends(PUBLIC)],
    summary="Readiness check",
    response_model=ReadyOut,
    responses={503: {"model": ReadyOut, "description": "Not ready; `reason` says why."}},
)
def readyz(services: ServicesDep) -> Response:
    problem = services.readiness.problem()
    if problem is not None:
        return JSONResponse({"status": "not ready", "reason": problem}, 503)
    return JSONResponse({"status": "ready"})


@router.get(
    "/metrics",
    dependencies=[Depends(PUBLIC)],
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
)
def metrics(services: ServicesDep) -> Response:
    """Each counter is a sum over all worker processes since startup. No label identifies a user or host."""
    return Response(services.metrics.render(services.database_collector), media_type=CONTENT_TYPE)


class _EventStream(StreamingResponse):
    media_type = "text/event-stream"


_EVENT = {
    "type": "object",
    "properties": {"event": {"const": "alerts"}, "data": {"const": "changed"}},
}


@router.get(
    "/api/v1/stream",
    summary="Server-sent events",
    tags=["alerts"],
    response_class=_EventStream,
    responses=problem_responses(*AUTH_STATUSES)
    | {200: {"content": {"text/event-stream": {"schema": _EVENT}}}},
)
async def stream(principal: Analyst, services: ServicesDep) -> StreamingResponse:
    """Send `event: alerts` when an alert is opened or changed. The event does not describe the change."""

    async def body() -> AsyncIterator[bytes]:
        async for part in services.live_updates.stream():
            yield part

    return _EventStream(body(), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


@router.get("/api/openapi.json", include_in_schema=False)
def openapi(request: Request, principal: Analyst) -> JSONResponse:
    document: dict[str, Any] = request.app.openapi()
    return JSONResponse(document)
