"""What would become of an event and why: rules clause by clause, then exclusions; nothing is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.detection.explain import Explanation, explain
from app.detection.rule import Rule
from app.domain.event import Event, event_from_ecs
from app.domain.exclusion import Condition, Exclusion
from app.formats import Unreadable, read
from app.ingest.judging import too_large
from app.ingest.lines import Item


@dataclass(frozen=True, slots=True)
class ConditionTrace:
    """`found` is what the event has in the condition's field."""

    condition: Condition
    found: tuple[str, ...]
    holds: bool


@dataclass(frozen=True, slots=True)
class ExclusionTrace:
    exclusion: Exclusion
    covers: bool
    conditions: tuple[ConditionTrace, ...]


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """`decides` tells an enabled rule from one that is only asked here.

    `exclusions` are the live ones of the rule; the first that covers suppresses the match, if the
    event is one.
    """

    explanation: Explanation
    decides: bool
    exclusions: tuple[ExclusionTrace, ...]

    @property
    def suppressed_by(self) -> Exclusion | None:
        covering = (trace.exclusion for trace in self.exclusions if trace.covers)
        return next(covering, None) if self.explanation.matches else None

    @property
    def distance(self) -> int:
        """How many clauses stand between the event and a match; 0 for a match."""
        failing = self.explanation.condition
        return 0 if failing.holds else sum(1 for _ in failing.decisive())


@dataclass(frozen=True, slots=True)
class EventTrace:
    """`event` is None where `refusal` says why it cannot be read; then no rule was asked.

    `rules` begin with matches and go on with what was nearest to one.
    """

    item: Item
    event: Event | None = None
    refusal: str | None = None
    rules: tuple[RuleTrace, ...] = ()


def trace(
    item: Item,
    rules: Sequence[Rule],
    *,
    deciding: Sequence[Rule],
    exclusions: Mapping[str, Sequence[Exclusion]],
    at: datetime,
    max_event_bytes: int,
) -> EventTrace:
    """`rules` are all that are asked, `deciding` those that are enabled; `exclusions` are by rule."""
    if len(item.raw) > max_event_bytes:
        return EventTrace(item, refusal=too_large(max_event_bytes))
    try:
        document = read(item.raw)
    except Unreadable as error:
        return EventTrace(item, refusal=str(error))
    event = event_from_ecs(document)
    enabled = {rule.id for rule in deciding}
    traces = [
        RuleTrace(
            explanation=explain(rule, document),
            decides=rule.id in enabled,
            exclusions=tuple(
                _exclusion(one, event, rule.id, at) for one in exclusions.get(rule.id, ())
            ),
        )
        for rule in rules
    ]
    traces.sort(key=lambda one: one.distance)
    return EventTrace(item, event, rules=tuple(traces))


def _exclusion(exclusion: Exclusion, event: Event, rule_id: str, at: datetime) -> ExclusionTrace:
    return ExclusionTrace(
        exclusion=exclusion,
        covers=exclusion.covers(event, rule_id=rule_id, at=at),
        conditions=tuple(
            ConditionTrace(condition, condition.found(event), condition.holds(event))
            for condition in exclusion.conditions
        ),
    )
