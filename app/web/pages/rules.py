"""The rules that decide, and one rule with its guide, query and tests."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.detection.rule import Rule, Technique, run_tests
from app.domain.errors import NotFound
from app.store import alerts, exclusions, matches
from app.store.alerts import RuleFigures
from app.store.exclusions import State, Whole
from app.web import urls
from app.web.access import Analyst
from app.web.pages.guide import PART_LABELS, part_named
from app.web.rendering import MARKDOWN
from app.web.respond import page
from app.web.services import Parts
from app.web.shell import Tab

PATH = "/rules"
router = APIRouter()


@dataclass(frozen=True, slots=True)
class RuleRow:
    id: str
    href: str
    name: str
    severity: str
    risk_score: int
    tactics: tuple[str, ...]
    open_alerts: int
    open_href: str
    last_match: datetime | None
    exclusions: int


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """Why a rule file, or part of one, was not loaded."""

    where: str
    message: str


@dataclass(frozen=True, slots=True)
class RulesPage:
    rows: tuple[RuleRow, ...]
    problems: tuple[ProblemRow, ...]


@dataclass(frozen=True, slots=True)
class QueryToken:
    """`kind` is keyword, string, number, field, operator or plain."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class TestRow:
    """One of the rule's own test events, run just now."""

    name: str
    expected: str
    passed: bool


@dataclass(frozen=True, slots=True)
class ThreatRow:
    tactic: str
    tactic_href: str
    techniques: tuple[tuple[str, str], ...]  # (name with id, href)


@dataclass(frozen=True, slots=True)
class RuleExclusionRow:
    href: str
    reason: str
    owner: str
    ends_at: datetime
    hidden_count: int


@dataclass(frozen=True, slots=True)
class GuidePart:
    steps_html: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RulePage:
    """`description_html` and `setup_html` are safe. Block `guide` shows one part."""

    id: str
    name: str
    severity: str
    risk_score: int
    description_html: str
    setup_html: str
    query: tuple[QueryToken, ...]
    threats: tuple[ThreatRow, ...]
    tests: tuple[TestRow, ...]
    false_positives: tuple[str, ...]
    tags: tuple[str, ...]
    references: tuple[str, ...]
    file: str
    match_count: int
    open_alerts: int
    true_positives: int
    closed_alerts: int
    alerts_href: str
    exclusions: tuple[RuleExclusionRow, ...]
    part: str
    guide_tabs: tuple[Tab, ...]
    guide_introduction_html: str
    guide: GuidePart


@router.get(PATH)
def show(request: Request, who: Analyst, services: Parts) -> Response:
    at = services.clock()
    with services.database.read() as session:
        figures = alerts.figures_by_rule(session)
        everything = exclusions.everything(session)
    rows = tuple(
        _row(rule, figures.get(rule.id, RuleFigures()), _live(everything, rule.id, at))
        for rule in services.rules.rules
    )
    problems = tuple(
        ProblemRow(_where(problem.path.name, problem.line), problem.message)
        for problem in services.rules.problems
    )
    context = RulesPage(rows, problems)
    return page(request, who, "pages/rules.html", context, title="Rules")


def _where(name: str, line: int | None) -> str:
    return f"{name}:{line}" if line else name


def _live(everything: Sequence[Whole], rule_id: str, at: datetime) -> list[Whole]:
    return [
        whole
        for whole in everything
        if whole.record.rule_id == rule_id and whole.state(at) is State.LIVE
    ]


def _row(rule: Rule, figures: RuleFigures, live: Sequence[Whole]) -> RuleRow:
    return RuleRow(
        id=rule.id,
        href=f"{PATH}/{rule.id}",
        name=rule.name,
        severity=str(rule.severity),
        risk_score=rule.risk_score,
        tactics=tuple(threat.tactic for threat in rule.threats),
        open_alerts=figures.open,
        open_href=urls.href("/alerts", rule=rule.id),
        last_match=figures.last_seen,
        exclusions=len(live),
    )


@router.get(PATH + "/{rule_id}")
def show_one(request: Request, rule_id: str, who: Analyst, services: Parts) -> Response:
    rule = services.rule(rule_id)
    if rule is None:
        raise NotFound("There is no such rule, or it is not loaded any more.")
    at = services.clock()
    with services.database.read() as session:
        figures = alerts.figures_by_rule(session).get(rule.id, RuleFigures())
        live = _live(exclusions.everything(session), rule.id, at)
        hits = matches.suppressed_figures(session)
    part = part_named(request.query_params.get("guide", ""))
    chosen = next(one for one in rule.guide.parts if one.name is part)
    context = RulePage(
        id=rule.id,
        name=rule.name,
        severity=str(rule.severity),
        risk_score=rule.risk_score,
        description_html=str(MARKDOWN.html(rule.description)),
        setup_html=str(MARKDOWN.html(rule.setup)) if rule.setup else "",
        query=query_tokens(rule.query.strip()),
        threats=_threats(rule),
        tests=_tests(rule),
        false_positives=rule.false_positives,
        tags=rule.tags,
        references=rule.references,
        file=rule.path.name,
        match_count=figures.matches,
        open_alerts=figures.open,
        true_positives=figures.true_positives,
        closed_alerts=figures.closed,
        alerts_href=urls.href("/alerts", status="all", rule=rule.id),
        exclusions=tuple(_exclusion(whole, hits) for whole in live),
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


def _exclusion(whole: Whole, hits: dict[int, tuple[int, datetime]]) -> RuleExclusionRow:
    version = whole.live or whole.newest
    return RuleExclusionRow(
        href=f"/exclusions/{whole.record.id}",
        reason=version.reason,
        owner=version.owner,
        ends_at=version.ends_at,
        hidden_count=hits.get(whole.record.id or 0, (0, None))[0],
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
