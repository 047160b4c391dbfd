"""Template context of the explain page: the conditions of rules and exclusions beside an event."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.detection.rule import Rule
from app.domain.exclusion import Condition, find_field
from app.domain.text import truncate_with_count
from app.ingest.explain import EventExplanation, RuleExplanation
from app.web.components import SelectOption

ENABLED_RULES, ALL_RULES = "", "all"
DETAILED_RULES_LIMIT = 10
FAILING_CLAUSES_LIMIT = 2
TEXT_LENGTH_LIMIT = 1_000
VALUE_LENGTH_LIMIT = 200


@dataclass(frozen=True, slots=True)
class ExplainPage:
    """Context of explain.html; its block is `result`.

    `events` are the explained events. `omitted_events` is the number of events that are not explained. The
    methods select rules and build texts for the template.
    """

    text: str
    problem: str
    rule_options: tuple[SelectOption, ...]
    events: tuple[EventExplanation, ...]
    omitted_events: int

    def detailed_rules(self, event: EventExplanation) -> Sequence[RuleExplanation]:
        """Return the rules that the page shows with all clauses.

        In `event.rules`, the rules that match come first. The function returns the first DETAILED_RULES_LIMIT
        rules. If more than DETAILED_RULES_LIMIT rules match, the function returns all rules that match.
        """
        matching = sum(rule.explanation.matches for rule in event.rules)
        return event.rules[: max(matching, DETAILED_RULES_LIMIT)]

    def other_rules(self, event: EventExplanation) -> Sequence[RuleExplanation]:
        return event.rules[len(self.detailed_rules(event)) :]

    def summary(self, event: EventExplanation) -> str:
        total = len(event.rules)
        matching = sum(rule.explanation.matches for rule in event.rules)
        if total == 0:
            return "No rule is enabled."
        if total == 1:
            return "The rule matches." if matching else "The rule does not match."
        return f"{matching} of {total} rules match."

    def result(self, rule: RuleExplanation) -> str:
        if rule.suppressed_by is not None:
            return f"matches; exclusion {rule.suppressed_by.id} suppresses the match"
        if rule.explanation.matches:
            return "matches" if rule.is_enabled else "would match if it were enabled"
        failing = rule.failing_clauses
        return f"does not match: {failing} {'condition' if failing == 1 else 'conditions'} not met"

    def failing_clauses(self, rule: RuleExplanation) -> str:
        """Return a text that lists the clauses that are not met, such as `a; b; and 3 more`.

        The text contains the first FAILING_CLAUSES_LIMIT clauses. In the example, three clauses are omitted.
        """
        failing = list(rule.explanation.root.decisive_clauses())
        text = "; ".join(clause.text for clause in failing[:FAILING_CLAUSES_LIMIT])
        more = len(failing) - FAILING_CLAUSES_LIMIT
        return self.shorten(text) + (f"; and {more} more" if more > 0 else "")

    def condition_text(self, condition: Condition) -> str:
        field = find_field(condition.field)
        values = ", ".join(
            f"“{truncate_with_count(value, VALUE_LENGTH_LIMIT)}”" for value in condition.values
        )
        return f"{field.label if field else condition.field} {condition.operator} {values}".strip()

    def shorten(self, text: str) -> str:
        return truncate_with_count(text, TEXT_LENGTH_LIMIT)


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
