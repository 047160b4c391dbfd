"""What would become of an event and why: rules clause by clause, then exclusions; nothing is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.detection.explain import Explanation, explain
from app.detection.rule import Rule
from app.domain.event import Event, event_from_ecs
from app.domain.exclusion import Condition, Exclusion
from app.formats import EventParseError, parse_event
from app.ingest.evaluate import too_large_reason
from app.ingest.events import RawEvent


@dataclass(frozen=True, slots=True)
class ConditionExplanation:
    """`found` is what the event has in the condition's field."""

    condition: Condition
    event_values: tuple[str, ...]
    holds: bool


@dataclass(frozen=True, slots=True)
class ExclusionExplanation:
    exclusion: Exclusion
    covers: bool
    conditions: tuple[ConditionExplanation, ...]


@dataclass(frozen=True, slots=True)
class RuleExplanation:
    """`decides` tells an enabled rule from one that is only asked here.

    `exclusions` are the live ones of the rule; the first that covers suppresses the match, if the
    event is one.
    """

    explanation: Explanation
    is_enabled: bool
    exclusions: tuple[ExclusionExplanation, ...]

    @property
    def suppressed_by(self) -> Exclusion | None:
        covering_exclusions = (one.exclusion for one in self.exclusions if one.covers)
        return next(covering_exclusions, None) if self.explanation.matches else None

    @property
    def failing_clauses(self) -> int:
        """How many clauses stand between the event and a match; 0 for a match."""
        condition = self.explanation.root
        return 0 if condition.holds else sum(1 for _ in condition.decisive_clauses())


@dataclass(frozen=True, slots=True)
class EventExplanation:
    """`event` is None where `refusal` says why it cannot be read; then no rule was asked.

    `rules` begin with matches and go on with what was nearest to one.
    """

    raw_event: RawEvent
    event: Event | None = None
    rejection_reason: str | None = None
    rules: tuple[RuleExplanation, ...] = ()


def explain_raw_event(
    raw_event: RawEvent,
    rules: Sequence[Rule],
    *,
    enabled_rules: Sequence[Rule],
    exclusions: Mapping[str, Sequence[Exclusion]],
    at: datetime,
    max_event_bytes: int,
) -> EventExplanation:
    """`rules` are all that are asked, `deciding` those that are enabled; `exclusions` are by rule."""
    if len(raw_event.raw) > max_event_bytes:
        return EventExplanation(raw_event, rejection_reason=too_large_reason(max_event_bytes))
    try:
        document = parse_event(raw_event.raw)
    except EventParseError as error:
        return EventExplanation(raw_event, rejection_reason=str(error))
    event = event_from_ecs(document)
    enabled_ids = {rule.id for rule in enabled_rules}
    explanations = [
        RuleExplanation(
            explanation=explain(rule, document),
            is_enabled=rule.id in enabled_ids,
            exclusions=tuple(
                _exclusion(one, event, rule.id, at) for one in exclusions.get(rule.id, ())
            ),
        )
        for rule in rules
    ]
    explanations.sort(key=lambda one: one.failing_clauses)
    return EventExplanation(raw_event, event, rules=tuple(explanations))


def _exclusion(
    exclusion: Exclusion, event: Event, rule_id: str, at: datetime
) -> ExclusionExplanation:
    return ExclusionExplanation(
        exclusion=exclusion,
        covers=exclusion.covers(event, rule_id=rule_id, at=at),
        conditions=tuple(
            ConditionExplanation(condition, condition.values_in(event), condition.holds(event))
            for condition in exclusion.conditions
        ),
    )
