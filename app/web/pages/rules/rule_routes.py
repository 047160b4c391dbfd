"""One rule with its state, guide, query and tests; and what is left of one that is not loaded any more."""

import re
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.detection.rule import Rule, Technique, run_tests
from app.domain.errors import NotFound
from app.domain.principal import Principal
from app.domain.text import escape_unstorable
from app.store import alerts, exclusions, matches, rule_overrides
from app.store.alerts import RuleStatistics
from app.store.database import Session
from app.store.exclusions import ExclusionHistory, State
from app.web import urls
from app.web.access import Analyst
from app.web.guide_view import PART_LABELS, parse_guide_part
from app.web.page_frame import Tab
from app.web.page_response import render_page
from app.web.pages.rules.context import (
    GuidePartView,
    QueryToken,
    Reference,
    RuleActivity,
    RuleExclusionRow,
    RulePage,
    TestRow,
    ThreatRow,
    UnloadedRulePage,
    switch_view,
)
from app.web.paths import RULES_PATH
from app.web.rendering import MARKDOWN
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
        switch = rule_overrides.get(session, rule.id)
        activity = _rule_activity(session, services, rule.id)
    part = parse_guide_part(request.query_params.get("guide", ""))
    chosen = next(one for one in rule.guide.parts if one.name is part)
    context = RulePage(
        id=rule.id,
        name=rule.name,
        severity=str(rule.severity),
        risk_score=rule.risk_score,
        switch=switch_view(rule, switch, principal),
        description_html=str(MARKDOWN.to_html(rule.description)),
        setup_html=str(MARKDOWN.to_html(rule.setup)) if rule.setup else "",
        query_tokens=query_tokens(rule.query.strip()),
        threats=_threats(rule),
        tests=_tests(rule),
        false_positives=rule.false_positives,
        tags=rule.tags,
        references=tuple(map(_reference, rule.references)),
        file_name=rule.path.name,
        explain_href=urls.href("/explain", rule=rule.id),
        activity=activity,
        part=str(part),
        guide_tabs=tuple(
            Tab(
                f"{PART_LABELS[one.name]} {len(one.steps)}",
                urls.href(f"{RULES_PATH}/{rule.id}", guide=one.name),
                one.name is part,
            )
            for one in rule.guide.parts
        ),
        guide_introduction_html=str(MARKDOWN.to_html(chosen.text)) if chosen.text else "",
        guide=GuidePartView(tuple(str(MARKDOWN.to_html(step.markdown)) for step in chosen.steps)),
    )
    return render_page(request, principal, "pages/rule.html", context, title=rule.name)


def _show_unloaded_rule(
    request: Request, principal: Principal, services: Services, rule_id: str
) -> Response:
    """Alerts and exclusions outlive the rule's file, and they link here."""
    with services.database.read() as session:
        name = alerts.latest_rule_name(session, rule_id)
        everything = exclusions.list_all(session)
        if name is None and all(history.record.rule_id != rule_id for history in everything):
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
    figures = alerts.statistics_by_rule(session).get(rule_id, RuleStatistics())
    hits = matches.suppression_counts(session)
    live = [
        history
        for history in exclusions.list_all(session)
        if history.record.rule_id == rule_id and history.state(at) is State.LIVE
    ]
    return RuleActivity(
        matches=figures.matches,
        open_alerts=figures.open,
        closed_alerts=figures.closed,
        true_positives=figures.true_positives,
        alerts_href=urls.href("/alerts", status="all", rule=rule_id),
        exclusions=tuple(
            _exclusion_row(history, hits.get(history.record.id or 0)) for history in live
        ),
    )


def _reference(text: str) -> Reference:
    return Reference(text, text if text.startswith(("https://", "http://")) else None)


def _threats(rule: Rule) -> tuple[ThreatRow, ...]:
    def flat(techniques: Sequence[Technique]) -> list[tuple[str, str]]:
        told: list[tuple[str, str]] = []
        for technique in techniques:
            # A sub-technique says more than the technique it is part of.
            told += flat(technique.subtechniques) or [
                (f"{technique.name} {technique.id}", technique.reference)
            ]
        return told

    return tuple(
        ThreatRow(threat.tactic, threat.reference, tuple(flat(threat.techniques)))
        for threat in rule.threats
    )


def _tests(rule: Rule) -> tuple[TestRow, ...]:
    failed = {problem.line for problem in run_tests(rule)}
    return tuple(
        TestRow(test.name, "match" if test.matches else "no match", test.line not in failed)
        for test in rule.tests
    )


def _exclusion_row(history: ExclusionHistory, hit: tuple[int, object] | None) -> RuleExclusionRow:
    version = history.live or history.newest
    return RuleExclusionRow(
        href=f"/exclusions/{history.record.id}",
        reason=version.reason,
        owner=version.owner,
        ends_at=version.ends_at,
        suppressed_count=hit[0] if hit else 0,
    )


_QUERY_TOKEN = re.compile(
    r'''(?P<string>"""(?s:.*?)"""|"(?:[^"\\]|\\.)*")|(?P<plain>//[^\n]*|/\*(?s:.*?)\*/|\s+)'''
    r"|(?P<keyword>\b(?:where|and|or|not|in|like|regex|any|process|true|false|null)\b(?![.\w]))~?"
    r"|(?P<number>\b\d+(?:\.\d+)?\b)|(?P<field>[\w@?`.*]+)|(?P<operator>[^\w\s])"
)


def query_tokens(query: str) -> tuple[QueryToken, ...]:
    """A query cut for colouring; joined, the pieces are the query again."""
    return tuple(
        QueryToken(found.group(), found.lastgroup or "plain")
        for found in _QUERY_TOKEN.finditer(query)
    )
