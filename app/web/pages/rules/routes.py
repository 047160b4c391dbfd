"""Routes of the rule list: search, problems of rule files, enabling and disabling rules."""

from collections import Counter
from collections.abc import Iterable, Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions.rules import get_rule, set_rule_enabled
from app.detection.rule import Rule
from app.detection.rule_file_problem import RuleFileProblem
from app.domain.errors import Conflict, InvalidInput
from app.domain.text import escape_unstorable, truncate
from app.resources import rule_file_label
from app.store import alerts, exclusions, rule_overrides
from app.store.alerts import RuleStatistics
from app.store.exclusions import State
from app.web import urls
from app.web.access import Admin, Analyst
from app.web.components import Tab
from app.web.forms import Form, FormDep
from app.web.page_frame import Notice
from app.web.page_response import render_page, see_other
from app.web.pages.rules.context import (
    ProblemRow,
    ProblemsView,
    RuleRow,
    RulesPage,
    switch_view,
)
from app.web.paths import RULES_PATH
from app.web.services import ServicesDep

PAGE_SIZE = 100
PROBLEMS_EXPANDED_LIMIT = 10  # the page collapses a longer list of problems
PROBLEMS_LIMIT = 300  # further problems are only counted
SEARCH_WORDS_LIMIT = 10
# The length of a rule's name is not limited, but a notice must fit into a cookie.
NAME_LENGTH_LIMIT = 100
_TAB_ENABLED = {"all": None, "enabled": True, "disabled": False}
router = APIRouter()


@router.get(RULES_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    query = request.query_params
    tab = query.get("state", "all")
    tab = tab if tab in _TAB_ENABLED else "all"
    q = escape_unstorable(query.get("q", "").strip())
    skip = urls.parse_row_id(query.get("from", "")) or 0
    at = services.clock()
    with services.database.read() as session:
        overrides = rule_overrides.list_all(session)
        statistics = alerts.statistics_by_rule(session)
        histories = exclusions.list_all(session)
    live_exclusions = Counter(
        history.record.rule_id for history in histories if history.state(at) is State.LIVE
    )
    rows = [
        RuleRow(
            rule,
            switch_view(rule, overrides.get(rule.id), principal),
            statistics.get(rule.id, RuleStatistics()),
            live_exclusions[rule.id],
        )
        for rule in sorted(
            _search_rules(services.rules.rules, q),
            key=lambda rule: (-rule.risk_score, rule.name.casefold()),
        )
    ]
    in_tab = [row for row in rows if _TAB_ENABLED[tab] in (None, row.switch.enabled)]
    skip = skip if skip < len(in_tab) else 0
    page = in_tab[skip : skip + PAGE_SIZE]
    view = {"q": q, "state": None if tab == "all" else tab}
    next_href = urls.href(RULES_PATH, {**view, "from": skip + PAGE_SIZE})
    context = RulesPage(
        loaded_count=len(services.rules.rules),
        problems=_problems(services.rules.problems),
        tabs=_tabs(view, tab, [row.switch.enabled for row in rows]),
        q=q,
        hidden_inputs=() if tab == "all" else (("state", tab),),
        clear_href=urls.href(RULES_PATH, view, q=None),
        rows=tuple(page),
        current_href=urls.href(RULES_PATH, {**view, "from": skip or None}),
        first_href=urls.href(RULES_PATH, view) if skip else None,
        next_href=next_href if len(in_tab) > skip + PAGE_SIZE else None,
        summary=f"{len(page):,} of {len(in_tab):,} {'rule' if len(in_tab) == 1 else 'rules'}"
        if in_tab
        else "",
    )
    return render_page(request, principal, "pages/rules.html", context, title="Rules")


def _search_rules(rules: Iterable[Rule], q: str) -> list[Rule]:
    """Return the rules that match `q`.

    A rule matches if each word of `q` occurs in its name, file name, id, severity, tactics or tags.
    """
    words = q.casefold().split()[:SEARCH_WORDS_LIMIT]
    return [rule for rule in rules if _contains_words(rule, words)]


def _contains_words(rule: Rule, words: Sequence[str]) -> bool:
    tactics = (threat.tactic.name for threat in rule.threats)
    texts = (rule.name, rule.path.name, rule.id, rule.severity, *tactics, *rule.tags)
    searched_text = "\n".join(texts).casefold()
    return all(word in searched_text for word in words)


def _tabs(view: dict[str, str | None], current: str, enabled: Sequence[bool]) -> tuple[Tab, ...]:
    counts = {"all": len(enabled), "enabled": sum(enabled), "disabled": enabled.count(False)}
    return tuple(
        Tab(
            name.capitalize(),
            urls.href(RULES_PATH, view, state=None if name == "all" else name),
            name == current,
            counts[name],
        )
        for name in _TAB_ENABLED
    )


def _problems(problems: Sequence[RuleFileProblem]) -> ProblemsView:
    return ProblemsView(
        files=len({problem.path for problem in problems}),
        total=len(problems),
        rows=tuple(
            ProblemRow(_problem_location(problem), problem.message)
            for problem in problems[:PROBLEMS_LIMIT]
        ),
        expanded=len(problems) <= PROBLEMS_EXPANDED_LIMIT,
    )


def _problem_location(problem: RuleFileProblem) -> str:
    column = "" if problem.column is None else f":{problem.column}"
    return f"{rule_file_label(problem.path)}:{problem.line}{column}"


@router.post(RULES_PATH + "/{rule_id}/switch")
def switch(
    request: Request, rule_id: str, principal: Admin, services: ServicesDep, form: FormDep
) -> Response:
    """Enable or disable a rule, then redirect to `next`: the filtered list or the rule's page."""
    rule = get_rule(services.rules.rules, rule_id)
    form.allow_fields("enabled", "version", "next")
    enabled = _read_yes_no(form)
    back = urls.safe_redirect_path(form["next"], f"{RULES_PATH}/{rule.id}")
    try:
        changed = set_rule_enabled(
            services.database,
            rule,
            enabled=enabled,
            version=form.get_int("version"),
            principal=principal,
            at=services.clock(),
        )
    except Conflict as error:
        return see_other(request, back, Notice("warning", str(error)))
    return see_other(request, back, _switch_notice(rule, enabled, changed, back))


def _read_yes_no(form: Form) -> bool:
    if form["enabled"] not in ("yes", "no"):
        raise InvalidInput({"enabled": "Must be yes or no."})
    return form["enabled"] == "yes"


def _switch_notice(rule: Rule, enabled: bool, changed: bool, back: str) -> Notice:
    name = f"“{truncate(rule.name, NAME_LENGTH_LIMIT)}”"
    if not changed:
        return Notice("done", f"{name} is already {'enabled' if enabled else 'disabled'}.")
    text = (
        f"{name} is enabled. Matching events open alerts from now on."
        if enabled
        else f"{name} is disabled. Matching events open no alerts from now on; existing alerts stay."
    )
    undo = {"enabled": "no" if enabled else "yes", "next": back}
    return Notice("done", text, undo_action=f"{RULES_PATH}/{rule.id}/switch", undo_fields=undo)
