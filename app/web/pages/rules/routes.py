"""The rules, enabled and disabled, and what kept rule files from being loaded; switching one."""

from collections import Counter
from collections.abc import Iterable, Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions.rules import get_rule
from app.detection.rule import Rule
from app.detection.rule_file_problem import RuleFileProblem
from app.detection.switches import is_enabled
from app.domain.errors import Conflict, InvalidInput
from app.domain.text import escape_unstorable, truncate
from app.resources import rule_file_label
from app.store import alerts, exclusions, rule_overrides
from app.store.alerts import RuleStatistics
from app.store.exclusions import State
from app.web import urls
from app.web.access import Admin, Analyst
from app.web.forms import Form, FormDep
from app.web.page_frame import Notice, Tab
from app.web.page_response import render_page, see_other
from app.web.pages.rules.context import (
    ProblemRow,
    ProblemsView,
    RuleRow,
    RulesPage,
    SwitchView,
    switch_view,
)
from app.web.paths import RULES_PATH
from app.web.rule_switch import set_rule_enabled
from app.web.services import ServicesDep

PAGE_SIZE = 100
# More problems than this are folded away, and more than the second are only counted.
PROBLEMS_EXPANDED_LIMIT = 10
PROBLEMS_LIMIT = 300
# A notice travels in a cookie, and a rule's name has no bound of its own.
NAME_LENGTH_LIMIT = 100
router = APIRouter()

# The tabs, and which rules are under them: those enabled, those that are not, or either.
_TAB_ENABLED = {"all": None, "enabled": True, "disabled": False}


@router.get(RULES_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    query = request.query_params
    tab = query.get("state", "all")
    tab = tab if tab in _TAB_ENABLED else "all"
    q = escape_unstorable(query.get("q", "").strip())
    skip = urls.parse_row_id(query.get("from", "")) or 0
    at = services.clock()
    with services.database.read() as session:
        switched = rule_overrides.list_all(session)
        figures = alerts.statistics_by_rule(session)
        everything = exclusions.list_all(session)
    live = Counter(
        history.record.rule_id for history in everything if history.state(at) is State.LIVE
    )
    overrides = {rule_id: switch.enabled for rule_id, switch in switched.items()}
    found = sorted(
        _search_rules(services.rules.rules, q), key=lambda r: (-r.risk_score, r.name.casefold())
    )
    enabled = {rule.id: is_enabled(rule, overrides.get(rule.id)) for rule in found}
    chosen = [rule for rule in found if _TAB_ENABLED[tab] in (None, enabled[rule.id])]
    skip = skip if skip < len(chosen) else 0
    shown = chosen[skip : skip + PAGE_SIZE]
    view = {"q": q, "state": None if tab == "all" else tab}
    more = len(chosen) > skip + PAGE_SIZE
    context = RulesPage(
        loaded_count=len(services.rules.rules),
        problems=_problems(services.rules.problems),
        tabs=_tabs(view, tab, list(enabled.values())),
        action=RULES_PATH,
        q=q,
        hidden_inputs=() if tab == "all" else (("state", tab),),
        clear_href=urls.href(RULES_PATH, view, q=None),
        rows=tuple(
            _row(
                rule,
                figures.get(rule.id, RuleStatistics()),
                live[rule.id],
                switch_view(rule, switched.get(rule.id), principal),
            )
            for rule in shown
        ),
        current_href=urls.href(RULES_PATH, {**view, "from": skip or None}),
        first_href=urls.href(RULES_PATH, view) if skip else None,
        next_href=urls.href(RULES_PATH, {**view, "from": skip + PAGE_SIZE}) if more else None,
        summary=f"{len(shown):,} of {len(chosen):,}" if chosen else "",
    )
    return render_page(request, principal, "pages/rules.html", context, title="Rules")


def _search_rules(rules: Iterable[Rule], q: str) -> list[Rule]:
    """Those of which every word of `q` is in the name, file, id, severity, tactics or tags."""
    words = q.casefold().split()[:10]
    return [rule for rule in rules if _contains_words(rule, words)]


def _contains_words(rule: Rule, words: Sequence[str]) -> bool:
    tactics = (threat.tactic for threat in rule.threats)
    told = (rule.name, rule.path.name, rule.id, rule.severity, *tactics, *rule.tags)
    searched = "\n".join(told).casefold()
    return all(word in searched for word in words)


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
            ProblemRow(_problem_location(one), one.message) for one in problems[:PROBLEMS_LIMIT]
        ),
        expanded=len(problems) <= PROBLEMS_EXPANDED_LIMIT,
    )


def _problem_location(problem: RuleFileProblem) -> str:
    column = "" if problem.column is None else f":{problem.column}"
    return f"{rule_file_label(problem.path)}:{problem.line}{column}"


def _row(rule: Rule, figures: RuleStatistics, exclusions: int, switch: SwitchView) -> RuleRow:
    return RuleRow(
        id=rule.id,
        href=f"{RULES_PATH}/{rule.id}",
        name=rule.name,
        severity=str(rule.severity),
        risk_score=rule.risk_score,
        tactics=tuple(threat.tactic for threat in rule.threats),
        open_alerts=figures.open,
        open_alerts_href=urls.href("/alerts", rule=rule.id),
        last_match_at=figures.last_seen,
        exclusion_count=exclusions,
        switch=switch,
    )


@router.post(RULES_PATH + "/{rule_id}/switch")
def switch(
    request: Request, rule_id: str, principal: Admin, services: ServicesDep, form: FormDep
) -> Response:
    """Back to `next` afterwards: the list, filtered as it was, or the rule's own page."""
    rule = get_rule(services.rules.rules, rule_id)
    form.allow_fields("enabled", "version", "next")
    enabled = _read_yes_no(form)
    back = urls.safe_redirect_path(form["next"], f"{RULES_PATH}/{rule.id}")
    try:
        changed = set_rule_enabled(
            services, rule, enabled=enabled, version=form.get_int("version"), principal=principal
        )
    except Conflict as error:
        return see_other(request, back, Notice("warning", str(error)))
    return see_other(request, back, _switch_notice(rule, enabled, changed, back))


def _read_yes_no(form: Form) -> bool:
    if form["enabled"] not in ("yes", "no"):
        raise InvalidInput({"enabled": "Say yes or no."})
    return form["enabled"] == "yes"


def _switch_notice(rule: Rule, enabled: bool, changed: bool, back: str) -> Notice:
    name = f"“{truncate(rule.name, NAME_LENGTH_LIMIT)}”"
    if not changed:
        return Notice("done", f"{name} is {'enabled' if enabled else 'disabled'} already.")
    told = (
        f"{name} is enabled: events that match it raise alerts from now on."
        if enabled
        else f"{name} is disabled: events raise no alert of it from now on; alerts that exist stay."
    )
    undo = {"enabled": "no" if enabled else "yes", "next": back}
    return Notice("done", told, undo_action=f"{RULES_PATH}/{rule.id}/switch", undo_fields=undo)
