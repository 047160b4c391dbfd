"""API for the stored event of a match."""

from fastapi import APIRouter
from starlette.responses import Response

from app.domain.errors import NotFound
from app.store import matches
from app.web.access import Analyst
from app.web.api.openapi import AUTH_STATUSES, problem_responses
from app.web.services import ServicesDep
from app.web.urls import RowId

router = APIRouter(tags=["alerts"], responses=problem_responses(*AUTH_STATUSES))


@router.get(
    "/api/v1/matches/{match_id}/event",
    summary="Get the event of a match",
    responses=problem_responses(404),
)
def get_event(match_id: RowId, principal: Analyst, services: ServicesDep) -> Response:
    """Return the event exactly as the agent sent it, byte for byte."""
    with services.database.read() as session:
        match = matches.get(session, match_id)
    if match is None:
        raise NotFound(f"There is no match {match_id}.")
    return Response(match.event, media_type="application/json")
