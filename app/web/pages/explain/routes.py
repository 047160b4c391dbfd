"""Why an event matches rules, or why not: pasted, or from an alert; nothing of it is stored."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.detection.rule import Rule
from app.detection.switches import enabled_rules
from app.domain.errors import DeckwatchError, NotFound
from app.domain.principal import Principal
from app.ingest.body import split_body
from app.ingest.explain import EventExplanation, explain_raw_event
from app.store import alerts, exclusions, matches, rule_overrides
from app.web import urls
from app.web.access import Analyst
from app.web.forms import FormDep
from app.web.page_response import render_page
from app.web.pages.explain.context import (
    ALL_RULES,
    ENABLED_RULES,
    ExplainPage,
    event_view,
    rule_options,
)
from app.web.paths import EXPLAIN_PATH
from app.web.services import Services, ServicesDep

EVENTS_LIMIT = 5
router = APIRouter()


@router.get(EXPLAIN_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    """An empty form, or with `alert` the event that the alert shows, explained."""
    query = request.query_params
    text = _alert_event_text(services, query["alert"]) if "alert" in query else ""
    return _render(request, principal, services, text, query.get("rule", ENABLED_RULES))


@router.post(EXPLAIN_PATH)
def explain_event(
    request: Request, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("event", "rule")
    return _render(request, principal, services, form["event"], form["rule"])


def _alert_event_text(services: Services, asked: str) -> str:
    alert_id = urls.parse_row_id(asked)
    with services.database.read() as session:
        found = None if alert_id is None else alerts.get(session, alert_id)
        shown = matches.displayed_match(session, found) if found else None
    if shown is None:
        raise NotFound("There is no such alert, or its event is no longer stored.")
    return shown.event.decode("utf-8", "replace")


def _render(
    request: Request, principal: Principal, services: Services, text: str, chosen: str
) -> Response:
    loaded = services.rules.rules
    with services.database.read() as session:
        enabled = enabled_rules(loaded, rule_overrides.rule_overrides(session))
    problem, more = "", 0
    traces: list[EventExplanation] = []
    if text.strip():
        try:
            traces, more = _explain_events(
                services, text, _selected_rules(loaded, enabled, chosen), enabled
            )
        except DeckwatchError as error:
            problem = str(error)
    elif request.method == "POST":
        problem = "Paste an event first: one JSON object, an array, or one object a line."
    context = ExplainPage(
        action=EXPLAIN_PATH,
        text=text,
        problem=problem,
        rule_options=rule_options(loaded, enabled, chosen),
        events=tuple(event_view(one, many=len(traces) > 1) for one in traces),
        more_events=more,
    )
    status = 422 if problem else 200
    return render_page(
        request, principal, "pages/explain.html", context, title="Explain an event", status=status
    )


def _selected_rules(loaded: Sequence[Rule], enabled: Sequence[Rule], chosen: str) -> Sequence[Rule]:
    if chosen == ALL_RULES:
        return loaded
    one = [rule for rule in loaded if rule.id == chosen]
    return one or enabled


def _explain_events(
    services: Services, text: str, asked: Sequence[Rule], enabled: Sequence[Rule]
) -> tuple[list[EventExplanation], int]:
    """The first events of `text`, explained, and how many more there are."""
    items = split_body(text.encode())
    with services.database.read() as session:
        live = exclusions.by_rule(exclusions.list_live(session))
    found = [
        explain_raw_event(
            item,
            asked,
            enabled_rules=enabled,
            exclusions=live,
            at=services.clock(),
            max_event_bytes=services.settings.max_event_bytes,
        )
        for item in items[:EVENTS_LIMIT]
    ]
    return found, len(items) - len(found)
