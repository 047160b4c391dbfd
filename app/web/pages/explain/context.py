"""Template context of the explain page: the conditions of rules and exclusions beside an event."""

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
VALUE_LENGTH_LIMIT = 200
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
    """A clause with its expected and actual values, or a group of clauses with its label.

    `is_clause` is false for a group, and `steps` holds the clauses of the group.
    """

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
    covers: bool
    conditions: tuple[ConditionView, ...]


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule, its result as text and its clauses."""

    rule: Rule
    matches: bool
    enabled: bool
    result: str
    expanded: bool
    steps: tuple[ClauseView, ...]
    missing_fields: tuple[str, ...]
    exclusions: tuple[ExclusionView, ...]


@dataclass(frozen=True, slots=True)
class OtherRuleView:
    """A rule without details: only its first failing clauses."""

    rule: Rule
    failing_clauses: str


@dataclass(frozen=True, slots=True)
class EventView:
    """The result for one event. A rejected event has only `line` and `rejection_reason`.

    `line` is None if there is only one event.
    """

    line: int | None
    headline: str = ""
    rejection_reason: str = ""
    summary: str = ""
    rules: tuple[RuleView, ...] = ()
    other_rules: tuple[OtherRuleView, ...] = ()


@dataclass(frozen=True, slots=True)
class ExplainPage:
    """Context of explain.html; its block is `result`."""

    text: str
    problem: str
    rule_options: tuple[SelectOption, ...]
    events: tuple[EventView, ...]
    omitted_events: int


def rule_options(
    loaded: Sequence[Rule], enabled: Sequence[Rule], selected: str
) -> tuple[SelectOption, ...]:
    """Return the options of the rule selection: enabled rules, all rules, then each rule by name."""
    enabled_ids = {rule.id for rule in enabled}
    labels = {
        ENABLED_RULES: f"Enabled rules ({len(enabled)})",
        ALL_RULES: f"All rules ({len(loaded)})",
    }
    for rule in sorted(loaded, key=lambda rule: rule.name.casefold()):
        labels[rule.id] = rule.name + ("" if rule.id in enabled_ids else " (disabled)")
    return tuple(SelectOption(value, label, value == selected) for value, label in labels.items())


def event_view(explanation: EventExplanation, *, has_line: bool) -> EventView:
    """Return the view of one event.

    The first ten rules are shown with details. If more than ten rules match, all matching rules are.
    """
    line = explanation.raw_event.line if has_line else None
    if explanation.event is None:
        return EventView(line, rejection_reason=explanation.rejection_reason or "")
    rules = explanation.rules
    matching = sum(rule.explanation.matches for rule in rules)
    detailed = max(matching, DETAILED_RULES_LIMIT)
    return EventView(
        line=line,
        headline=explanation.event.headline,
        summary=_summary(matching, len(rules)),
        rules=tuple(
            _rule_view(rule, expanded=rule.explanation.matches or number == 0)
            for number, rule in enumerate(rules[:detailed])
        ),
        other_rules=tuple(map(_other_rule_view, rules[detailed:])),
    )


def _summary(matching: int, total: int) -> str:
    if total == 0:
        return "No rule is enabled."
    if total == 1:
        return "The rule matches." if matching else "The rule does not match."
    return f"{matching} of {total} rules match."


def _rule_view(explanation: RuleExplanation, *, expanded: bool) -> RuleView:
    root, matches = explanation.explanation.root, explanation.explanation.matches
    top_nodes = root.children if root.kind is NodeKind.AND else (root,)
    return RuleView(
        rule=explanation.explanation.rule,
        matches=matches,
        enabled=explanation.is_enabled,
        result=_result(explanation),
        expanded=expanded,
        steps=tuple(map(_clause_view, top_nodes)),
        missing_fields=tuple(root.missing_fields()),
        exclusions=tuple(map(_exclusion_view, explanation.exclusions)) if matches else (),
    )


def _result(explanation: RuleExplanation) -> str:
    if explanation.suppressed_by is not None:
        return f"matches; exclusion {explanation.suppressed_by.id} suppresses the match"
    if explanation.explanation.matches:
        return "matches" if explanation.is_enabled else "would match if it were enabled"
    failing = explanation.failing_clauses
    return f"does not match: {failing} {'condition' if failing == 1 else 'conditions'} not met"


def _other_rule_view(explanation: RuleExplanation) -> OtherRuleView:
    failing = list(explanation.explanation.root.decisive_clauses())
    text = "; ".join(clause.text for clause in failing[:FAILING_CLAUSES_LIMIT])
    more = len(failing) - FAILING_CLAUSES_LIMIT
    return OtherRuleView(
        rule=explanation.explanation.rule,
        failing_clauses=truncate_with_count(text, TEXT_LENGTH_LIMIT)
        + (f"; and {more} more" if more > 0 else ""),
    )


def _clause_view(node: ExplanationNode) -> ClauseView:
    is_clause = node.kind is NodeKind.CLAUSE
    actual = [
        ActualValueView(field.name, format_values(field.values), not field.values)
        for field in node.fields
    ]
    if node.results:
        actual.append(ActualValueView("result", format_values(node.results), False))
    expected = f"{node.operand} {node.expectation}" if is_clause else ""
    return ClauseView(
        text=truncate_with_count(node.text, TEXT_LENGTH_LIMIT)
        if is_clause
        else _GROUP_LABELS[node.kind],
        is_clause=is_clause,
        holds=node.holds,
        expected=truncate_with_count(expected, TEXT_LENGTH_LIMIT),
        actual=tuple(actual),
        steps=tuple(map(_clause_view, node.children)),
    )


def _exclusion_view(explanation: ExclusionExplanation) -> ExclusionView:
    return ExclusionView(
        id=explanation.exclusion.id,
        covers=explanation.covers,
        conditions=tuple(map(_condition_view, explanation.conditions)),
    )


def _condition_view(explanation: ConditionExplanation) -> ConditionView:
    condition = explanation.condition
    field = find_field(condition.field)
    values = ", ".join(
        f"“{truncate_with_count(value, VALUE_LENGTH_LIMIT)}”" for value in condition.values
    )
    label = field.label if field else condition.field
    return ConditionView(
        text=f"{label} {condition.operator} {values}".strip(),
        holds=explanation.holds,
        actual=format_values(explanation.event_values)
        if explanation.event_values
        else "no value for this field",
    )
