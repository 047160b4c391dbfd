"""The rules, enabled and disabled, and what kept rule files from being loaded; switching one."""

from collections import Counter
from collections.abc import Iterable, Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions.rules import named
from app.detection.problem import Problem
from app.detection.rule import Rule
from app.detection.switches import is_enabled
from app.domain.errors import Conflict, Invalid
from app.domain.text import clipped, storable
from app.store import alerts, exclusions, switches
from app.store.alerts import RuleFigures
from app.store.exclusions import State
from app.web import urls
from app.web.access import Admin, Analyst
from app.web.forms import Form, Posted
from app.web.pages.rules_context import (
    PATH,
    ProblemRow,
    ProblemsView,
    RuleRow,
    RulesPage,
    SwitchView,
    file_of,
    switch_view,
)
from app.web.respond import page, see_other
from app.web.services import Parts
from app.web.shell import Notice, Tab
from app.web.switching import switch_rule

PAGE_SIZE = 100
# More problems than this are folded away, and more than the second are only counted.
PROBLEMS_OPEN = 10
PROBLEMS_SHOWN = 300
# A notice travels in a cookie, and a rule's name has no bound of its own.
NAME_LIMIT = 100
router = APIRouter()

# The tabs, and which rules are under them: those enabled, those that are not, or either.
_TABS = {"all": None, "enabled": True, "disabled": False}


@router.get(PATH)
def show(request: Request, who: Analyst, services: Parts) -> Response:
    query = request.query_params
    tab = query.get("state", "all")
    tab = tab if tab in _TABS else "all"
    q = storable(query.get("q", "").strip())
    skip = urls.number(query.get("from", "")) or 0
    at = services.clock()
    with services.database.read() as session:
        switched = switches.everything(session)
        figures = alerts.figures_by_rule(session)
        everything = exclusions.everything(session)
    live = Counter(whole.record.rule_id for whole in everything if whole.state(at) is State.LIVE)
    wishes = {rule_id: switch.enabled for rule_id, switch in switched.items()}
    found = sorted(
        _with_words(services.rules.rules, q), key=lambda r: (-r.risk_score, r.name.casefold())
    )
    enabled = {rule.id: is_enabled(rule, wishes.get(rule.id)) for rule in found}
    chosen = [rule for rule in found if _TABS[tab] in (None, enabled[rule.id])]
    skip = skip if skip < len(chosen) else 0
    shown = chosen[skip : skip + PAGE_SIZE]
    view = {"q": q, "state": None if tab == "all" else tab}
    more = len(chosen) > skip + PAGE_SIZE
    context = RulesPage(
        loaded=len(services.rules.rules),
        problems=_problems(services.rules.problems),
        tabs=_tabs(view, tab, list(enabled.values())),
        action=PATH,
        q=q,
        hidden=() if tab == "all" else (("state", tab),),
        clear_href=urls.href(PATH, view, q=None),
        rows=tuple(
            _row(
                rule,
                figures.get(rule.id, RuleFigures()),
                live[rule.id],
                switch_view(rule, switched.get(rule.id), who),
            )
            for rule in shown
        ),
        here=urls.href(PATH, {**view, "from": skip or None}),
        first_href=urls.href(PATH, view) if skip else None,
        more_href=urls.href(PATH, {**view, "from": skip + PAGE_SIZE}) if more else None,
        summary=f"{len(shown):,} of {len(chosen):,}" if chosen else "",
    )
    return page(request, who, "pages/rules.html", context, title="Rules")


def _with_words(rules: Iterable[Rule], q: str) -> list[Rule]:
    """Those of which every word of `q` is in the name, file, id, severity, tactics or tags."""
    words = q.casefold().split()[:10]
    return [rule for rule in rules if _has(rule, words)]


def _has(rule: Rule, words: Sequence[str]) -> bool:
    tactics = (threat.tactic for threat in rule.threats)
    told = (rule.name, rule.path.name, rule.id, rule.severity, *tactics, *rule.tags)
    searched = "\n".join(told).casefold()
    return all(word in searched for word in words)


def _tabs(view: dict[str, str | None], current: str, enabled: Sequence[bool]) -> tuple[Tab, ...]:
    counts = {"all": len(enabled), "enabled": sum(enabled), "disabled": enabled.count(False)}
    return tuple(
        Tab(
            name.capitalize(),
            urls.href(PATH, view, state=None if name == "all" else name),
            name == current,
            counts[name],
        )
        for name in _TABS
    )


def _problems(problems: Sequence[Problem]) -> ProblemsView:
    return ProblemsView(
        files=len({problem.path for problem in problems}),
        total=len(problems),
        rows=tuple(ProblemRow(_where(one), one.message) for one in problems[:PROBLEMS_SHOWN]),
        opened=len(problems) <= PROBLEMS_OPEN,
    )


def _where(problem: Problem) -> str:
    column = "" if problem.column is None else f":{problem.column}"
    return f"{file_of(problem.path)}:{problem.line}{column}"


def _row(rule: Rule, figures: RuleFigures, exclusions: int, switch: SwitchView) -> RuleRow:
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
        exclusions=exclusions,
        switch=switch,
    )


@router.post(PATH + "/{rule_id}/switch")
def switch(request: Request, rule_id: str, who: Admin, services: Parts, form: Posted) -> Response:
    """Back to `next` afterwards: the list, filtered as it was, or the rule's own page."""
    rule = named(services.rules.rules, rule_id)
    form.only("enabled", "version", "next")
    enabled = _yes(form)
    back = urls.local_path(form["next"], f"{PATH}/{rule.id}")
    try:
        changed = switch_rule(
            services, rule, enabled=enabled, version=form.number("version"), who=who
        )
    except Conflict as error:
        return see_other(request, back, Notice("warning", str(error)))
    return see_other(request, back, _done(rule, enabled, changed, back))


def _yes(form: Form) -> bool:
    if form["enabled"] not in ("yes", "no"):
        raise Invalid({"enabled": "Say yes or no."})
    return form["enabled"] == "yes"


def _done(rule: Rule, enabled: bool, changed: bool, back: str) -> Notice:
    name = f"“{clipped(rule.name, NAME_LIMIT)}”"
    if not changed:
        return Notice("done", f"{name} is {'enabled' if enabled else 'disabled'} already.")
    told = (
        f"{name} is enabled: events that match it raise alerts from now on."
        if enabled
        else f"{name} is disabled: events raise no alert of it from now on; alerts that exist stay."
    )
    undo = {"enabled": "no" if enabled else "yes", "next": back}
    return Notice("done", told, undo_action=f"{PATH}/{rule.id}/switch", undo_fields=undo)
