"""Routes that retry and delete quarantined events.

Only admins may use these routes, because a retry can delete events too.
"""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import quarantine as actions
from app.domain.errors import InvalidInput
from app.ingest.retry import describe_retry, retry_quarantined
from app.store import api_keys, quarantine
from app.web import urls
from app.web.access import Admin
from app.web.forms import Form, FormDep
from app.web.page_frame import Notice
from app.web.page_response import see_other
from app.web.pages.quarantine.context import filter_parameters, read_filter
from app.web.quarantine_rows import QUARANTINE_PATH
from app.web.services import Services, ServicesDep

# Maximum number of events per request. The notice after the request says if there are more events.
BULK_LIMIT = 500
router = APIRouter()


@dataclass(frozen=True, slots=True)
class _Selection:
    """The events that a form selects; `description` describes the selection in the audit log."""

    ids: tuple[int, ...]
    has_more: bool
    description: str
    back_href: str


@router.post(QUARANTINE_PATH + "/retry")
def retry(request: Request, principal: Admin, services: ServicesDep, form: FormDep) -> Response:
    """Evaluate the selected events again. Events that can be parsed now and match no rule are deleted."""
    selection = _read_selection(services, form)
    result = retry_quarantined(
        services.database,
        selection.ids,
        services.current_detector.detector,
        services.settings.max_event_bytes,
        why=selection.description,
        principal=principal,
        at=services.clock(),
    )
    if not result.retried:
        return see_other(
            request, selection.back_href, Notice("warning", "There was nothing to retry.")
        )
    if len(selection.ids) == 1:
        text = _single_result(result.events_matched, result.events_unmatched)
    else:
        text = f"Of {result.retried:,} retried, {describe_retry(result)}."
        if selection.has_more or result.retried < len(selection.ids):
            text += " More events remain; retry again to include them."
    kind = "warning" if result.still_rejected == result.retried else "done"
    return see_other(request, selection.back_href, Notice(kind, text))


def _single_result(matched: int, unmatched: int) -> str:
    if matched:
        return "The event matches a rule now and left quarantine."
    if unmatched:
        return "The event can be parsed now and matches no rule, so it was deleted."
    return "The event still cannot be parsed and stays in quarantine."


@router.post(QUARANTINE_PATH + "/delete")
def delete(request: Request, principal: Admin, services: ServicesDep, form: FormDep) -> Response:
    selection = _read_selection(services, form)
    deleted = actions.delete_events(
        services.database,
        selection.ids,
        why=selection.description,
        principal=principal,
        at=services.clock(),
    )
    if not deleted:
        return see_other(
            request, selection.back_href, Notice("warning", "There was nothing to delete.")
        )
    text = "1 event was deleted." if deleted == 1 else f"{deleted:,} events were deleted."
    if selection.has_more:
        text += " More events remain; delete again to include them."
    return see_other(request, selection.back_href, Notice("done", text))


def _read_selection(services: Services, form: Form) -> _Selection:
    """Return the events that a form selects.

    The form contains either the `id` of one event, or a filter with `up_to`. `up_to` is the id of the newest
    event that existed when the page was rendered, so that the form does not select later events.
    """
    form.allow_fields("id", "key", "reason", "up_to")
    if form["id"]:
        event_id = urls.parse_row_id(form["id"])
        if event_id is None:
            raise InvalidInput({"id": "“id” must be the number of a quarantined event."})
        return _Selection((event_id,), False, "selected individually", QUARANTINE_PATH)
    event_filter = read_filter(form.__getitem__)
    if event_filter.up_to is None:
        raise InvalidInput({"up_to": "Specify the events: “id”, or “up_to” with a filter."})
    with services.database.read() as session:
        result = quarantine.search(session, event_filter, BULK_LIMIT)
        names = api_keys.names_by_id(
            session, [event_filter.key_id] if event_filter.key_id is not None else []
        )
    description = f"agent {names[event_filter.key_id or 0]}" if names else "all agents"
    if event_filter.reason:
        description += f", reason contains “{event_filter.reason}”"
    return _Selection(
        result.ids,
        result.next_before is not None,
        description,
        urls.href(QUARANTINE_PATH, filter_parameters(event_filter)),
    )
