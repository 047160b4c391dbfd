"""What the page that explains an event shows: every rule's clauses beside what the event has."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.detection.explain import Step, Word, told
from app.detection.rule import Rule
from app.domain.exclusion import field_named
from app.domain.text import shortened
from app.ingest.trace import ConditionTrace, EventTrace, ExclusionTrace, RuleTrace
from app.web.shell import Option

ENABLED, ALL = "", "all"
NEAREST_SHOWN = 10
FAILING_SHOWN = 2
TEXT_SHOWN = 1_000
_JOINED = {Word.AND: "all of these", Word.OR: "any of these", Word.NOT: "not this"}


@dataclass(frozen=True, slots=True)
class FoundView:
    name: str
    values: str
    missing: bool


@dataclass(frozen=True, slots=True)
class StepView:
    """A clause with what was expected and found, or a heading over the `steps` that it joins."""

    text: str
    is_clause: bool
    holds: bool
    expected: str
    found: tuple[FoundView, ...]
    steps: tuple["StepView", ...]


@dataclass(frozen=True, slots=True)
class ConditionView:
    text: str
    holds: bool
    found: str


@dataclass(frozen=True, slots=True)
class ExclusionView:
    id: int
    href: str
    covers: bool
    conditions: tuple[ConditionView, ...]


@dataclass(frozen=True, slots=True)
class RuleView:
    """`verdict` says in words what became of the event; `opened` shows the clauses at once."""

    name: str
    href: str
    matches: bool
    enabled: bool
    verdict: str
    opened: bool
    steps: tuple[StepView, ...]
    missing: tuple[str, ...]
    exclusions: tuple[ExclusionView, ...]


@dataclass(frozen=True, slots=True)
class FartherView:
    """A rule that was not near: what kept the event from matching, in a line."""

    name: str
    href: str
    because: str


@dataclass(frozen=True, slots=True)
class EventView:
    """`refusal` instead of anything else for an event that cannot be read; `line` where there are more."""

    line: int | None
    headline: str
    refusal: str
    summary: str
    rules: tuple[RuleView, ...]
    farther: tuple[FartherView, ...]


@dataclass(frozen=True, slots=True)
class ExplainPage:
    action: str
    text: str
    problem: str
    rules: tuple[Option, ...]
    events: tuple[EventView, ...]
    more_events: int


def rule_options(
    loaded: Sequence[Rule], enabled: Sequence[Rule], chosen: str
) -> tuple[Option, ...]:
    on = {rule.id for rule in enabled}
    return (
        Option(ENABLED, f"Rules that are enabled ({len(enabled)})", chosen == ENABLED),
        Option(ALL, f"All rules ({len(loaded)})", chosen == ALL),
        *(
            Option(rule.id, rule.name + ("" if rule.id in on else " (disabled)"), chosen == rule.id)
            for rule in sorted(loaded, key=lambda rule: rule.name.casefold())
        ),
    )


def event_view(found: EventTrace, *, many: bool) -> EventView:
    line = found.item.line if many else None
    if found.event is None:
        return EventView(line, "", found.refusal or "", "", (), ())
    matching = sum(one.explanation.matches for one in found.rules)
    shown = max(matching, NEAREST_SHOWN)
    return EventView(
        line=line,
        headline=found.event.headline,
        refusal="",
        summary=_summary(matching, len(found.rules)),
        rules=tuple(
            _rule(one, opened=one.explanation.matches or number == 0)
            for number, one in enumerate(found.rules[:shown])
        ),
        farther=tuple(map(_farther, found.rules[shown:])),
    )


def _summary(matching: int, asked: int) -> str:
    if asked == 0:
        return "No rule is enabled, so nothing was asked."
    if asked == 1:
        return "The rule matches." if matching else "The rule does not match."
    return f"{matching} of {asked} rules match."


def _rule(one: RuleTrace, *, opened: bool) -> RuleView:
    condition = one.explanation.condition
    top = condition.steps if condition.word is Word.AND else (condition,)
    return RuleView(
        name=one.explanation.rule.name,
        href=f"/rules/{one.explanation.rule.id}",
        matches=one.explanation.matches,
        enabled=one.decides,
        verdict=_verdict(one),
        opened=opened,
        steps=tuple(map(_step, top)),
        missing=tuple(condition.missing()),
        exclusions=tuple(map(_exclusion, one.exclusions)) if one.explanation.matches else (),
    )


def _verdict(one: RuleTrace) -> str:
    if one.suppressed_by is not None:
        return f"matches; exclusion {one.suppressed_by.id} suppresses it"
    if one.explanation.matches:
        return "matches" if one.decides else "would match, were it enabled"
    clauses = "one clause" if one.distance == 1 else f"{one.distance} clauses"
    return f"does not match: {clauses} short"


def _farther(one: RuleTrace) -> FartherView:
    failing = list(one.explanation.condition.decisive())
    told_ones = "; ".join(step.text for step in failing[:FAILING_SHOWN])
    more = len(failing) - FAILING_SHOWN
    return FartherView(
        name=one.explanation.rule.name,
        href=f"/rules/{one.explanation.rule.id}",
        because=shortened(told_ones, TEXT_SHOWN) + (f"; and {more} more" if more > 0 else ""),
    )


def _step(step: Step) -> StepView:
    is_clause = step.word is Word.CLAUSE
    found = [FoundView(one.name, told(one.values), not one.values) for one in step.fields]
    if step.made:
        found.append(FoundView("the result", told(step.made), False))
    return StepView(
        text=shortened(step.text, TEXT_SHOWN) if is_clause else _JOINED[step.word],
        is_clause=is_clause,
        holds=step.holds,
        expected=shortened(f"{step.of} {step.expects}", TEXT_SHOWN) if is_clause else "",
        found=tuple(found),
        steps=tuple(map(_step, step.steps)),
    )


def _exclusion(one: ExclusionTrace) -> ExclusionView:
    return ExclusionView(
        id=one.exclusion.id,
        href=f"/exclusions/{one.exclusion.id}",
        covers=one.covers,
        conditions=tuple(map(_condition, one.conditions)),
    )


def _condition(one: ConditionTrace) -> ConditionView:
    known = field_named(one.condition.field)
    values = ", ".join(f"“{shortened(value, 200)}”" for value in one.condition.values)
    label = known.label if known else one.condition.field
    return ConditionView(
        text=f"{label} {one.condition.operator} {values}".strip(),
        holds=one.holds,
        found=told(one.found),
    )
