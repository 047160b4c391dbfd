"""Trying events in quarantine again, and deleting them; for admins, since either takes bytes away."""

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
from app.web.pages.quarantine.context import QUARANTINE_PATH, filter_parameters, read_filter
from app.web.services import Services, ServicesDep

# What one click changes at most; the notice says when there are more.
BULK_LIMIT = 500
router = APIRouter()


@router.post(QUARANTINE_PATH + "/retry")
def retry(request: Request, principal: Admin, services: ServicesDep, form: FormDep) -> Response:
    """For admins: what can be read today and matches no rule is gone afterwards."""
    ids, more, why, back = _read_selection(services, form)
    found = retry_quarantined(
        services.database,
        ids,
        services.current_detector.detector,
        services.settings.max_event_bytes,
        why=why,
        principal=principal,
        at=services.clock(),
    )
    if not found.retried:
        return see_other(request, back, Notice("warning", "There was nothing to try again."))
    told = f"Of {found.retried:,}, {describe_retry(found)}."
    if len(ids) == 1:
        told = f"Tried again: {_single_result(found.events_matched, found.events_unmatched)}."
    elif more or found.retried < len(ids):
        told += " There are more; try again for those."
    kind = "warning" if found.still_rejected == found.retried else "done"
    return see_other(request, back, Notice(kind, told))


def _single_result(became: int, unmatched: int) -> str:
    if became:
        return "it matches a rule now, and left the quarantine"
    if unmatched:
        return "it can be read and matches no rule, so it left the quarantine and is not kept"
    return "it still cannot be read, and stays"


@router.post(QUARANTINE_PATH + "/delete")
def delete(request: Request, principal: Admin, services: ServicesDep, form: FormDep) -> Response:
    ids, more, why, back = _read_selection(services, form)
    gone = actions.delete_events(
        services.database, ids, why=why, principal=principal, at=services.clock()
    )
    if not gone:
        return see_other(request, back, Notice("warning", "There was nothing to delete."))
    told = "One event was deleted." if gone == 1 else f"{gone:,} events were deleted."
    more_told = " There are more; delete again for those." if more else ""
    return see_other(
        request, QUARANTINE_PATH if form["id"] else back, Notice("done", told + more_told)
    )


def _read_selection(services: Services, form: Form) -> tuple[tuple[int, ...], bool, str, str]:
    """The ids a form is about, whether there are more, how they were chosen, and where to go back.

    It names one event, or everything that fits the filter and was there when the page was made.
    """
    form.allow_fields("id", "key", "reason", "up_to")
    if form["id"]:
        one = urls.parse_row_id(form["id"])
        if one is None:
            raise InvalidInput({"id": "“id” is the number of an event in quarantine."})
        return (one,), False, "chosen by itself", QUARANTINE_PATH
    event_filter = read_filter(form.__getitem__)
    if event_filter.up_to is None:
        raise InvalidInput({"up_to": "Say which events: “id”, or “up_to” with a filter."})
    with services.database.read() as session:
        found = quarantine.search(session, event_filter, BULK_LIMIT)
        names = api_keys.names_by_id(
            session, [event_filter.key_id] if event_filter.key_id is not None else []
        )
    agent = names.get(event_filter.key_id or 0, "every agent")
    why = f"agent {agent}" + (
        f", reason with “{event_filter.reason}”" if event_filter.reason else ""
    )
    return (
        found.ids,
        found.next_before is not None,
        why,
        urls.href(QUARANTINE_PATH, filter_parameters(event_filter)),
    )
