"""Trying events in quarantine again, and deleting them; for admins, since either takes bytes away."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import quarantine as actions
from app.domain.errors import Invalid
from app.ingest.second_look import in_words, look_again
from app.store import keys, quarantine
from app.web import urls
from app.web.access import Admin
from app.web.forms import Form, Posted
from app.web.pages.quarantine_context import PATH, view_of, wanted_of
from app.web.respond import see_other
from app.web.services import Parts, Services
from app.web.shell import Notice

# What one click changes at most; the notice says when there are more.
AT_ONCE = 500
router = APIRouter()


@router.post(PATH + "/retry")
def retry(request: Request, who: Admin, services: Parts, form: Posted) -> Response:
    """For admins: what can be read today and matches no rule is gone afterwards."""
    ids, more, why, back = _chosen(services, form)
    found = look_again(
        services.database,
        ids,
        services.current_detector.detector,
        services.settings.max_event_bytes,
        why=why,
        who=who,
        at=services.clock(),
    )
    if not found.looked_at:
        return see_other(request, back, Notice("warning", "There was nothing to try again."))
    told = f"Of {found.looked_at:,}, {in_words(found)}."
    if len(ids) == 1:
        told = f"Tried again: {_single(found.became, found.unmatched)}."
    elif more or found.looked_at < len(ids):
        told += " There are more; try again for those."
    kind = "warning" if found.unreadable == found.looked_at else "done"
    return see_other(request, back, Notice(kind, told))


def _single(became: int, unmatched: int) -> str:
    if became:
        return "it matches a rule now, and left the quarantine"
    if unmatched:
        return "it can be read and matches no rule, so it left the quarantine and is not kept"
    return "it still cannot be read, and stays"


@router.post(PATH + "/delete")
def delete(request: Request, who: Admin, services: Parts, form: Posted) -> Response:
    ids, more, why, back = _chosen(services, form)
    gone = actions.discard(services.database, ids, why=why, who=who, at=services.clock())
    if not gone:
        return see_other(request, back, Notice("warning", "There was nothing to delete."))
    told = "One event was deleted." if gone == 1 else f"{gone:,} events were deleted."
    more_told = " There are more; delete again for those." if more else ""
    return see_other(request, PATH if form["id"] else back, Notice("done", told + more_told))


def _chosen(services: Services, form: Form) -> tuple[tuple[int, ...], bool, str, str]:
    """The ids a form is about, whether there are more, how they were chosen, and where to go back.

    It names one event, or everything that fits the filter and was there when the page was made.
    """
    form.only("id", "key", "reason", "up_to")
    if form["id"]:
        one = urls.number(form["id"])
        if one is None:
            raise Invalid({"id": "“id” is the number of an event in quarantine."})
        return (one,), False, "chosen by itself", PATH
    wanted = wanted_of(form.__getitem__)
    if wanted.up_to is None:
        raise Invalid({"up_to": "Say which events: “id”, or “up_to” with a filter."})
    with services.database.read() as session:
        found = quarantine.search(session, wanted, AT_ONCE)
        names = keys.names(session, [wanted.key_id] if wanted.key_id is not None else [])
    agent = names.get(wanted.key_id or 0, "every agent")
    why = f"agent {agent}" + (f", reason with “{wanted.reason}”" if wanted.reason else "")
    return found.ids, found.before is not None, why, urls.href(PATH, view_of(wanted))
