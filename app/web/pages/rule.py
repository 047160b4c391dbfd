"""One rule with its state, guide, query and tests; and what is left of one that is not loaded any more."""

import re
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.detection.rule import Rule, Technique, run_tests
from app.domain.errors import NotFound
from app.domain.roles import Principal
from app.domain.text import storable
from app.store import alerts, exclusions, matches, switches
from app.store.alerts import RuleFigures
from app.store.database import Session
from app.store.exclusions import State, Whole
from app.web import urls
from app.web.access import Analyst
from app.web.pages.guide import PART_LABELS, part_named
from app.web.pages.rules_context import (
    PATH,
    GoneRulePage,
    GuidePart,
    QueryToken,
    Reference,
    RuleExclusionRow,
    RulePage,
    SoFar,
    TestRow,
    ThreatRow,
    switch_view,
)
from app.web.rendering import MARKDOWN
from app.web.respond import page
from app.web.services import Parts, Services
from app.web.shell import Tab

router = APIRouter()


@router.get(PATH + "/{rule_id}")
def show_one(request: Request, rule_id: str, who: Analyst, services: Parts) -> Response:
    rule = services.rule(rule_id)
    if rule is None:
        return _gone(request, who, services, storable(rule_id))
    with services.database.read() as session:
        switch = switches.get(session, rule.id)
        so_far = _so_far(session, services, rule.id)
    part = part_named(request.query_params.get("guide", ""))
    chosen = next(one for one in rule.guide.parts if one.name is part)
    context = RulePage(
        id=rule.id,
        name=rule.name,
        severity=str(rule.severity),
        risk_score=rule.risk_score,
        switch=switch_view(rule, switch, who),
        description_html=str(MARKDOWN.html(rule.description)),
        setup_html=str(MARKDOWN.html(rule.setup)) if rule.setup else "",
        query=query_tokens(rule.query.strip()),
        threats=_threats(rule),
        tests=_tests(rule),
        false_positives=rule.false_positives,
        tags=rule.tags,
        references=tuple(map(_reference, rule.references)),
        file=rule.path.name,
        explain_href=urls.href("/explain", rule=rule.id),
        so_far=so_far,
        part=str(part),
        guide_tabs=tuple(
            Tab(
                f"{PART_LABELS[one.name]} {len(one.steps)}",
                urls.href(f"{PATH}/{rule.id}", guide=one.name),
                one.name is part,
            )
            for one in rule.guide.parts
        ),
        guide_introduction_html=str(MARKDOWN.html(chosen.text)) if chosen.text else "",
        guide=GuidePart(tuple(str(MARKDOWN.html(step.markdown)) for step in chosen.steps)),
    )
    return page(request, who, "pages/rule.html", context, title=rule.name)


def _gone(request: Request, who: Principal, services: Services, rule_id: str) -> Response:
    """Alerts and exclusions outlive the rule's file, and they link here."""
    with services.database.read() as session:
        name = alerts.rule_name(session, rule_id)
        everything = exclusions.everything(session)
        if name is None and all(whole.record.rule_id != rule_id for whole in everything):
            raise NotFound("There is no such rule.")
        so_far = _so_far(session, services, rule_id)
    context = GoneRulePage(
        id=rule_id,
        name=name or rule_id,
        problem_files=len({problem.path for problem in services.rules.problems}),
        so_far=so_far,
    )
    return page(request, who, "pages/rule_gone.html", context, title=context.name)


def _so_far(session: Session, services: Services, rule_id: str) -> SoFar:
    at = services.clock()
    figures = alerts.figures_by_rule(session).get(rule_id, RuleFigures())
    hits = matches.suppressed_figures(session)
    live = [
        whole
        for whole in exclusions.everything(session)
        if whole.record.rule_id == rule_id and whole.state(at) is State.LIVE
    ]
    return SoFar(
        matches=figures.matches,
        open_alerts=figures.open,
        closed_alerts=figures.closed,
        true_positives=figures.true_positives,
        alerts_href=urls.href("/alerts", status="all", rule=rule_id),
        exclusions=tuple(_exclusion(whole, hits.get(whole.record.id or 0)) for whole in live),
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


def _exclusion(whole: Whole, hit: tuple[int, object] | None) -> RuleExclusionRow:
    version = whole.live or whole.newest
    return RuleExclusionRow(
        href=f"/exclusions/{whole.record.id}",
        reason=version.reason,
        owner=version.owner,
        ends_at=version.ends_at,
        hidden_count=hit[0] if hit else 0,
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
