"""Why an event matches rules, or why not: pasted, or from an alert; nothing of it is stored."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.detection.rule import Rule
from app.detection.switches import deciding
from app.domain.errors import DeckwatchError, NotFound
from app.domain.roles import Principal
from app.ingest.body import cut
from app.ingest.trace import EventTrace, trace
from app.store import alerts, exclusions, matches, switches
from app.web import urls
from app.web.access import Analyst
from app.web.forms import Posted
from app.web.pages.explain_context import ALL, ENABLED, ExplainPage, event_view, rule_options
from app.web.respond import page
from app.web.services import Parts, Services

PATH = "/explain"
EVENTS_SHOWN = 5
router = APIRouter()


@router.get(PATH)
def show(request: Request, who: Analyst, services: Parts) -> Response:
    """An empty form, or with `alert` the event that the alert shows, explained."""
    query = request.query_params
    text = _event_of(services, query["alert"]) if "alert" in query else ""
    return _answer(request, who, services, text, query.get("rule", ENABLED))


@router.post(PATH)
def explain_it(request: Request, who: Analyst, services: Parts, form: Posted) -> Response:
    form.only("event", "rule")
    return _answer(request, who, services, form["event"], form["rule"])


def _event_of(services: Services, asked: str) -> str:
    alert_id = urls.number(asked)
    with services.database.read() as session:
        found = None if alert_id is None else alerts.get(session, alert_id)
        shown = matches.shown(session, found) if found else None
    if shown is None:
        raise NotFound("There is no such alert, or its event is no longer stored.")
    return shown.event.decode("utf-8", "replace")


def _answer(
    request: Request, who: Principal, services: Services, text: str, chosen: str
) -> Response:
    loaded = services.rules.rules
    with services.database.read() as session:
        enabled = deciding(loaded, switches.wishes(session))
    problem, more = "", 0
    traces: list[EventTrace] = []
    if text.strip():
        try:
            traces, more = _traces(services, text, _asked(loaded, enabled, chosen), enabled)
        except DeckwatchError as error:
            problem = str(error)
    elif request.method == "POST":
        problem = "Paste an event first: one JSON object, an array, or one object a line."
    context = ExplainPage(
        action=PATH,
        text=text,
        problem=problem,
        rules=rule_options(loaded, enabled, chosen),
        events=tuple(event_view(one, many=len(traces) > 1) for one in traces),
        more_events=more,
    )
    status = 422 if problem else 200
    return page(
        request, who, "pages/explain.html", context, title="Explain an event", status=status
    )


def _asked(loaded: Sequence[Rule], enabled: Sequence[Rule], chosen: str) -> Sequence[Rule]:
    if chosen == ALL:
        return loaded
    one = [rule for rule in loaded if rule.id == chosen]
    return one or enabled


def _traces(
    services: Services, text: str, asked: Sequence[Rule], enabled: Sequence[Rule]
) -> tuple[list[EventTrace], int]:
    """The first events of `text`, explained, and how many more there are."""
    items = cut(text.encode())
    with services.database.read() as session:
        live = exclusions.by_rule(exclusions.live(session))
    found = [
        trace(
            item,
            asked,
            deciding=enabled,
            exclusions=live,
            at=services.clock(),
            max_event_bytes=services.settings.max_event_bytes,
        )
        for item in items[:EVENTS_SHOWN]
    ]
    return found, len(items) - len(found)
