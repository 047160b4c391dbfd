"""Routes of the explain page, which explains why an event matches or does not match the rules.

The event is the event of an alert or a text that the user pastes. Nothing is stored.
"""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.detection.rule import Rule, enabled_rules
from app.domain.errors import DeckwatchError, NotFound
from app.domain.principal import Principal
from app.ingest.explain import EventExplanation, explain_raw_event
from app.ingest.split import split_body
from app.store import alerts, exclusions, matches, rule_overrides
from app.web import urls
from app.web.access import Analyst
from app.web.forms import FormDep
from app.web.page_response import render_page
from app.web.pages.explain.context import (
    ALL_RULES,
    ENABLED_RULES,
    ExplainPage,
    rule_options,
)
from app.web.paths import EXPLAIN_PATH
from app.web.services import Services, ServicesDep

EVENTS_LIMIT = 5
router = APIRouter()


@router.get(EXPLAIN_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    """Show the empty form, or explain the event of an alert.

    If the query contains the parameter `alert`, the page explains the event of the alert with this id.
    """
    query = request.query_params
    text = _alert_event_text(services, query["alert"]) if "alert" in query else ""
    return _render(request, principal, services, text, query.get("rule", ENABLED_RULES))


@router.post(EXPLAIN_PATH)
def explain_event(
    request: Request, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("event", "rule")
    return _render(request, principal, services, form["event"], form["rule"])


def _alert_event_text(services: Services, requested_id: str) -> str:
    alert_id = urls.parse_row_id(requested_id)
    with services.database.read() as session:
        alert = None if alert_id is None else alerts.get(session, alert_id)
        match = matches.displayed_match(session, alert) if alert else None
    if match is None:
        raise NotFound("There is no such alert, or its event is no longer stored.")
    return match.event.decode("utf-8", "replace")


def _render(
    request: Request, principal: Principal, services: Services, text: str, selection: str
) -> Response:
    loaded = services.rules.rules
    with services.database.read() as session:
        enabled = enabled_rules(loaded, rule_overrides.rule_overrides(session))
    problem, omitted = "", 0
    explanations: list[EventExplanation] = []
    if text.strip():
        try:
            rules = _selected_rules(loaded, enabled, selection)
            explanations, omitted = _explain_events(services, text, rules, enabled)
        except DeckwatchError as error:
            problem = str(error)
    elif request.method == "POST":
        problem = "Paste an event: one JSON object, a JSON array, or one JSON object per line."
    context = ExplainPage(
        text=text,
        problem=problem,
        rule_options=rule_options(loaded, enabled, selection),
        events=tuple(explanations),
        omitted_events=omitted,
    )
    status = 422 if problem else 200
    return render_page(
        request, principal, "pages/explain.html", context, title="Explain an event", status=status
    )


def _selected_rules(
    loaded: Sequence[Rule], enabled: Sequence[Rule], selection: str
) -> Sequence[Rule]:
    """Return the selected rules; an unknown selection means the enabled rules."""
    if selection == ALL_RULES:
        return loaded
    return [rule for rule in loaded if rule.id == selection] or enabled


def _explain_events(
    services: Services, text: str, rules: Sequence[Rule], enabled: Sequence[Rule]
) -> tuple[list[EventExplanation], int]:
    """Explain the first events of `text`; return them and the number of omitted events."""
    raw_events = split_body(text.encode())
    with services.database.read() as session:
        exclusions_by_rule = exclusions.by_rule(exclusions.list_live(session))
    explanations = [
        explain_raw_event(
            raw_event,
            rules,
            enabled_rules=enabled,
            exclusions=exclusions_by_rule,
            at=services.clock(),
            max_event_bytes=services.settings.max_event_bytes,
        )
        for raw_event in raw_events[:EVENTS_LIMIT]
    ]
    return explanations, len(raw_events) - len(explanations)
