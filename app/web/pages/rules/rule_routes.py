"""Routes of the rule page and of the page of a rule that is no longer loaded."""

import re
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.detection.rule import Rule
from app.detection.rule_file_model import Technique
from app.detection.rule_tests import run_tests
from app.domain.errors import NotFound
from app.domain.principal import Principal
from app.domain.text import escape_unstorable
from app.store import alerts, exclusions, matches, rule_overrides
from app.store.alerts import RuleStatistics
from app.store.database import Session
from app.store.exclusions import State
from app.web import urls
from app.web.access import Analyst
from app.web.components import Tab
from app.web.guide_view import PART_LABELS, parse_guide_part
from app.web.page_response import render_page
from app.web.pages.rules.context import (
    QueryToken,
    RuleActivity,
    RuleExclusionRow,
    RulePage,
    TestRow,
    ThreatRow,
    UnloadedRulePage,
    switch_view,
)
from app.web.paths import ALERTS_PATH, RULES_PATH
from app.web.rendering import markdown_to_html
from app.web.services import Services, ServicesDep

router = APIRouter()


@router.get(RULES_PATH + "/{rule_id}")
def show_rule(
    request: Request, rule_id: str, principal: Analyst, services: ServicesDep
) -> Response:
    rule = services.find_rule(rule_id)
    if rule is None:
        return _show_unloaded_rule(request, principal, services, escape_unstorable(rule_id))
    with services.database.read() as session:
        override = rule_overrides.get(session, rule.id)
        activity = _rule_activity(session, services, rule.id)
    part_name = parse_guide_part(request.query_params.get("guide", ""))
    current_part = next(part for part in rule.guide.parts if part.name is part_name)
    context = RulePage(
        rule=rule,
        switch=switch_view(rule, override, principal),
        description_html=_markdown(rule.description),
        setup_html=_markdown(rule.setup),
        query_tokens=query_tokens(rule.query.strip()),
        threats=_threats(rule),
        tests=_tests(rule),
        activity=activity,
        guide_tabs=tuple(
            Tab(
                f"{PART_LABELS[part.name]} {len(part.steps)}",
                urls.href(f"{RULES_PATH}/{rule.id}", guide=part.name),
                part.name is part_name,
            )
            for part in rule.guide.parts
        ),
        guide_introduction_html=_markdown(current_part.text),
        guide_steps_html=tuple(_markdown(step.markdown) for step in current_part.steps),
    )
    return render_page(request, principal, "pages/rule.html", context, title=rule.name)


def _markdown(text: str | None) -> str:
    return str(markdown_to_html(text)) if text else ""


def _show_unloaded_rule(
    request: Request, principal: Principal, services: Services, rule_id: str
) -> Response:
    """Show the page of a rule that is no longer loaded.

    The alerts and exclusions of the rule still link to this page.
    """
    with services.database.read() as session:
        name = alerts.latest_rule_name(session, rule_id)
        histories = exclusions.list_all(session)
        if name is None and all(history.record.rule_id != rule_id for history in histories):
            raise NotFound("There is no such rule.")
        activity = _rule_activity(session, services, rule_id)
    context = UnloadedRulePage(
        id=rule_id,
        name=name or rule_id,
        problem_files=len({problem.path for problem in services.rules.problems}),
        activity=activity,
    )
    return render_page(request, principal, "pages/rule_gone.html", context, title=context.name)


def _rule_activity(session: Session, services: Services, rule_id: str) -> RuleActivity:
    at = services.clock()
    hits = matches.suppression_counts(session)
    return RuleActivity(
        statistics=alerts.statistics_by_rule(session).get(rule_id, RuleStatistics()),
        alerts_href=urls.href(ALERTS_PATH, status="all", rule=rule_id),
        exclusions=tuple(
            RuleExclusionRow(
                version=history.live or history.newest,
                suppressed_count=hits[history.record.id][0] if history.record.id in hits else 0,
            )
            for history in exclusions.list_all(session)
            if history.record.rule_id == rule_id and history.state(at) is State.LIVE
        ),
    )


def _threats(rule: Rule) -> tuple[ThreatRow, ...]:
    def flatten(techniques: Sequence[Technique]) -> list[tuple[str, str]]:
        links: list[tuple[str, str]] = []
        for technique in techniques:
            # A sub-technique is more specific than a technique. If a technique has sub-techniques, the page
            # shows only the sub-techniques.
            links += flatten(technique.subtechniques) or [
                (f"{technique.name} {technique.id}", technique.reference)
            ]
        return links

    return tuple(
        ThreatRow(threat.tactic.name, threat.tactic.reference, tuple(flatten(threat.techniques)))
        for threat in rule.threats
    )


def _tests(rule: Rule) -> tuple[TestRow, ...]:
    failed = {problem.line for problem in run_tests(rule)}
    return tuple(
        TestRow(test.name, "match" if test.matches else "no match", test.line not in failed)
        for test in rule.tests
    )


_QUERY_TOKEN = re.compile(
    r'''(?P<string>"""(?s:.*?)"""|"(?:[^"\\]|\\.)*")|(?P<plain>//[^\n]*|/\*(?s:.*?)\*/|\s+)'''
    r"|(?P<keyword>\b(?:where|and|or|not|in|like|regex|any|process|true|false|null)\b(?![.\w]))~?"
    r"|(?P<number>\b\d+(?:\.\d+)?\b)|(?P<field>[\w@?`.*]+)|(?P<operator>[^\w\s])"
)


def query_tokens(query: str) -> tuple[QueryToken, ...]:
    """Split an EQL query into tokens for syntax highlighting. The joined token texts equal the query."""
    return tuple(
        QueryToken(match.group(), match.lastgroup or "plain")
        for match in _QUERY_TOKEN.finditer(query)
    )
