"""What the page that explains an event shows: every rule's clauses beside what the event has."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.detection.explain import ExplanationNode, NodeKind, format_values
from app.detection.rule import Rule
from app.domain.exclusion import find_field
from app.domain.text import truncate_with_count
from app.ingest.explain import (
    ConditionExplanation,
    EventExplanation,
    ExclusionExplanation,
    RuleExplanation,
)
from app.web.components import SelectOption

ENABLED_RULES, ALL_RULES = "", "all"
DETAILED_RULES_LIMIT = 10
FAILING_CLAUSES_LIMIT = 2
TEXT_LENGTH_LIMIT = 1_000
_GROUP_LABELS = {
    NodeKind.AND: "all of these",
    NodeKind.OR: "any of these",
    NodeKind.NOT: "not this",
}


@dataclass(frozen=True, slots=True)
class ActualValueView:
    name: str
    values: str
    missing: bool


@dataclass(frozen=True, slots=True)
class ClauseView:
    """A clause with what was expected and found, or a heading over the `steps` that it joins."""

    text: str
    is_clause: bool
    holds: bool
    expected: str
    actual: tuple[ActualValueView, ...]
    steps: tuple["ClauseView", ...]


@dataclass(frozen=True, slots=True)
class ConditionView:
    text: str
    holds: bool
    actual: str


@dataclass(frozen=True, slots=True)
class ExclusionView:
    id: int
    href: str
    covers: bool
    conditions: tuple[ConditionView, ...]


@dataclass(frozen=True, slots=True)
class RuleView:
    """`result` says in words what became of the event; `expanded` shows the clauses at once."""

    name: str
    href: str
    matches: bool
    enabled: bool
    result: str
    expanded: bool
    steps: tuple[ClauseView, ...]
    missing_fields: tuple[str, ...]
    exclusions: tuple[ExclusionView, ...]


@dataclass(frozen=True, slots=True)
class OtherRuleView:
    """A rule that was not near: what kept the event from matching, in a line."""

    name: str
    href: str
    failing_clauses: str


@dataclass(frozen=True, slots=True)
class EventView:
    """`rejection_reason` instead of anything else for an event that cannot be read; `line` where there are more."""

    line: int | None
    headline: str
    rejection_reason: str
    summary: str
    rules: tuple[RuleView, ...]
    other_rules: tuple[OtherRuleView, ...]


@dataclass(frozen=True, slots=True)
class ExplainPage:
    action: str
    text: str
    problem: str
    rule_options: tuple[SelectOption, ...]
    events: tuple[EventView, ...]
    more_events: int


def rule_options(
    loaded: Sequence[Rule], enabled: Sequence[Rule], chosen: str
) -> tuple[SelectOption, ...]:
    on = {rule.id for rule in enabled}
    return (
        SelectOption(
            ENABLED_RULES, f"Rules that are enabled ({len(enabled)})", chosen == ENABLED_RULES
        ),
        SelectOption(ALL_RULES, f"All rules ({len(loaded)})", chosen == ALL_RULES),
        *(
            SelectOption(
                rule.id, rule.name + ("" if rule.id in on else " (disabled)"), chosen == rule.id
            )
            for rule in sorted(loaded, key=lambda rule: rule.name.casefold())
        ),
    )


def event_view(found: EventExplanation, *, many: bool) -> EventView:
    line = found.raw_event.line if many else None
    if found.event is None:
        return EventView(line, "", found.rejection_reason or "", "", (), ())
    matching = sum(one.explanation.matches for one in found.rules)
    shown = max(matching, DETAILED_RULES_LIMIT)
    return EventView(
        line=line,
        headline=found.event.headline,
        rejection_reason="",
        summary=_summary(matching, len(found.rules)),
        rules=tuple(
            _rule(one, expanded=one.explanation.matches or number == 0)
            for number, one in enumerate(found.rules[:shown])
        ),
        other_rules=tuple(map(_other_rule, found.rules[shown:])),
    )


def _summary(matching: int, asked: int) -> str:
    if asked == 0:
        return "No rule is enabled, so nothing was asked."
    if asked == 1:
        return "The rule matches." if matching else "The rule does not match."
    return f"{matching} of {asked} rules match."


def _rule(one: RuleExplanation, *, expanded: bool) -> RuleView:
    condition = one.explanation.root
    top = condition.children if condition.kind is NodeKind.AND else (condition,)
    return RuleView(
        name=one.explanation.rule.name,
        href=f"/rules/{one.explanation.rule.id}",
        matches=one.explanation.matches,
        enabled=one.is_enabled,
        result=_result(one),
        expanded=expanded,
        steps=tuple(map(_clause, top)),
        missing_fields=tuple(condition.missing_fields()),
        exclusions=tuple(map(_exclusion, one.exclusions)) if one.explanation.matches else (),
    )


def _result(one: RuleExplanation) -> str:
    if one.suppressed_by is not None:
        return f"matches; exclusion {one.suppressed_by.id} suppresses it"
    if one.explanation.matches:
        return "matches" if one.is_enabled else "would match, were it enabled"
    clauses = "one clause" if one.failing_clauses == 1 else f"{one.failing_clauses} clauses"
    return f"does not match: {clauses} short"


def _other_rule(one: RuleExplanation) -> OtherRuleView:
    failing = list(one.explanation.root.decisive_clauses())
    told_ones = "; ".join(step.text for step in failing[:FAILING_CLAUSES_LIMIT])
    more = len(failing) - FAILING_CLAUSES_LIMIT
    return OtherRuleView(
        name=one.explanation.rule.name,
        href=f"/rules/{one.explanation.rule.id}",
        failing_clauses=truncate_with_count(told_ones, TEXT_LENGTH_LIMIT)
        + (f"; and {more} more" if more > 0 else ""),
    )


def _clause(step: ExplanationNode) -> ClauseView:
    is_clause = step.kind is NodeKind.CLAUSE
    found = [
        ActualValueView(one.name, format_values(one.values), not one.values) for one in step.fields
    ]
    if step.results:
        found.append(ActualValueView("the result", format_values(step.results), False))
    return ClauseView(
        text=truncate_with_count(step.text, TEXT_LENGTH_LIMIT)
        if is_clause
        else _GROUP_LABELS[step.kind],
        is_clause=is_clause,
        holds=step.holds,
        expected=truncate_with_count(f"{step.operand} {step.expectation}", TEXT_LENGTH_LIMIT)
        if is_clause
        else "",
        actual=tuple(found),
        steps=tuple(map(_clause, step.children)),
    )


def _exclusion(one: ExclusionExplanation) -> ExclusionView:
    return ExclusionView(
        id=one.exclusion.id,
        href=f"/exclusions/{one.exclusion.id}",
        covers=one.covers,
        conditions=tuple(map(_condition, one.conditions)),
    )


def _condition(one: ConditionExplanation) -> ConditionView:
    known = find_field(one.condition.field)
    values = ", ".join(f"“{truncate_with_count(value, 200)}”" for value in one.condition.values)
    label = known.label if known else one.condition.field
    return ConditionView(
        text=f"{label} {one.condition.operator} {values}".strip(),
        holds=one.holds,
        actual=format_values(one.event_values),
    )
