"""Explanation of why an event matches a rule or does not, and which exclusions cover the event.

Nothing is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.detection.explain import Explanation, explain
from app.detection.rule import Rule
from app.domain.event import Event, event_from_ecs
from app.domain.exclusion import Condition, Exclusion
from app.ingest.evaluate import parse_within_limit
from app.ingest.events import RawEvent, RejectedEvent


@dataclass(frozen=True, slots=True)
class ConditionExplanation:
    """A condition of an exclusion, and whether it holds for the event.

    `event_values` are the values of the condition's field in the event.
    """

    condition: Condition
    event_values: tuple[str, ...]
    holds: bool


@dataclass(frozen=True, slots=True)
class ExclusionExplanation:
    """The result for one exclusion: whether it covers the event, and the result of each condition."""

    exclusion: Exclusion
    covers: bool
    conditions: tuple[ConditionExplanation, ...]


@dataclass(frozen=True, slots=True)
class RuleExplanation:
    """The result for one rule and for its exclusions.

    `exclusions` contains the approved exclusions of the rule. Exclusions that a user has ended are left out.
    If the event matches the rule, the first exclusion that covers the event suppresses the match.
    """

    explanation: Explanation
    is_enabled: bool
    exclusions: tuple[ExclusionExplanation, ...]

    @property
    def suppressed_by(self) -> Exclusion | None:
        """The exclusion that suppresses the match, or None.

        None means that the event does not match the rule, or that no exclusion covers the event.
        """
        covering = (explained.exclusion for explained in self.exclusions if explained.covers)
        return next(covering, None) if self.explanation.matches else None

    @property
    def failing_clauses(self) -> int:
        """The number of clauses that prevent a match; 0 if the event matches."""
        condition = self.explanation.root
        return 0 if condition.holds else sum(1 for _ in condition.decisive_clauses())


@dataclass(frozen=True, slots=True)
class EventExplanation:
    """The explanation for one event.

    If the event is accepted, `event` and `rules` are set; otherwise `rejection_reason` is set. `rules` is
    sorted by the number of failing clauses, so the rules that match the event come first.
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
    """Explain for each of `rules` why the event matches the rule or does not match it.

    `rules` may contain disabled rules. `exclusions` maps the id of a rule to the approved exclusions of the
    rule. The caller must leave out exclusions that a user has ended.
    """
    document = parse_within_limit(raw_event, max_event_bytes)
    if isinstance(document, RejectedEvent):
        return EventExplanation(raw_event, rejection_reason=document.reason)
    event = event_from_ecs(document)
    enabled_ids = {rule.id for rule in enabled_rules}
    explanations = [
        RuleExplanation(
            explanation=explain(rule, document),
            is_enabled=rule.id in enabled_ids,
            exclusions=tuple(
                _explain_exclusion(exclusion, event, rule.id, at)
                for exclusion in exclusions.get(rule.id, ())
            ),
        )
        for rule in rules
    ]
    explanations.sort(key=lambda explained: explained.failing_clauses)
    return EventExplanation(raw_event, event, rules=tuple(explanations))


def _explain_exclusion(
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
