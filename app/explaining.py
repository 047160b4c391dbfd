"""`deckwatch explain`: the events of a file, each with what every rule makes of it, as lines of text."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from app.choice import Choice
from app.clock import utc_now
from app.detection.explain import Step, Word, told
from app.detection.rule import Rule
from app.domain.errors import Unusable
from app.domain.text import visible
from app.ingest.blocks import cut_blocks
from app.ingest.body import UnreadableBody
from app.ingest.inflate import PART, Damaged, inflate_any
from app.ingest.lines import TooLarge
from app.ingest.trace import ConditionTrace, EventTrace, ExclusionTrace, RuleTrace, trace
from app.replay import WHOLE_LIMIT
from app.settings import Settings

STDIN = "-"


def traces(name: str, settings: Settings, choice: Choice) -> Iterator[EventTrace]:
    """Each event of a file (plain, gzip or zstd; `-` is stdin), explained. Raises Unusable."""
    try:
        blocks = cut_blocks(
            inflate_any(_parts(name)),
            whole_limit=max(WHOLE_LIMIT, settings.max_body_bytes),
            max_event_bytes=settings.max_event_bytes,
        )
        for items in blocks:
            for item in items:
                yield trace(
                    item,
                    choice.rules,
                    deciding=choice.enabled,
                    exclusions=choice.exclusions,
                    at=utc_now(),
                    max_event_bytes=settings.max_event_bytes,
                )
    except UnreadableBody:
        raise Unusable(f"{visible(name)} holds no events.") from None
    except (TooLarge, Damaged) as error:
        raise Unusable(f"{visible(name)} cannot be read: {error}") from None
    except OSError as error:
        raise Unusable(f"{visible(name)} cannot be read: {error.strerror}.") from None


def _parts(name: str) -> Iterator[bytes]:
    with nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb") as file:
        while part := file.read(PART):
            yield part


def lines(found: EventTrace, name: str) -> Iterator[str]:
    """What the terminal shows of one event: the rules that match first, then those nearest to it."""
    where = f"{visible(name)}:{found.item.line}"
    if found.event is None:
        yield f"{where}: not an event that can be read: {visible(found.refusal or '')}"
        return
    yield f"{where}: {visible(found.event.headline)}"
    matching = sum(one.explanation.matches for one in found.rules)
    yield f"  {matching} of {len(found.rules)} rules match"
    for one in found.rules:
        yield ""
        yield from _rule(one)


def _rule(one: RuleTrace) -> Iterator[str]:
    rule, matches = one.explanation.rule, one.explanation.matches
    verdict = "matches" if matches else "does not match"
    if one.suppressed_by is not None:
        verdict = f"matches, suppressed by exclusion {one.suppressed_by.id}"
    state = "" if one.decides else " (disabled)"
    yield f"  {_mark(matches)} {visible(rule.name)}{state}: {verdict}  [{_handle(rule)}]"
    for step in _top(one.explanation.condition):
        yield from _step(step, 3)
    if missing := one.explanation.condition.missing():
        yield f"      The event does not have: {', '.join(map(visible, missing))}"
    for exclusion in one.exclusions if matches else ():
        yield from _exclusion(exclusion)


def _handle(rule: Rule) -> str:
    return f"{rule.slug}, {rule.id}"


def _top(condition: Step) -> Sequence[Step]:
    return condition.steps if condition.word is Word.AND else (condition,)


def _step(step: Step, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if step.word is Word.CLAUSE:
        yield f"{indent}{_mark(step.holds)} {visible(step.text)}"
        if not step.holds or step.made:
            yield f"{indent}    expected: {visible(step.of)} {visible(step.expects)}"
        for one in step.fields:
            yield f"{indent}    {visible(one.name)}: {visible(told(one.values))}"
        if step.made:
            yield f"{indent}    the result: {visible(told(step.made))}"
        return
    joined = {Word.AND: "all of these", Word.OR: "any of these", Word.NOT: "not"}[step.word]
    yield f"{indent}{_mark(step.holds)} {joined}"
    for below in step.steps:
        yield from _step(below, depth + 1)


def _exclusion(one: ExclusionTrace) -> Iterator[str]:
    covers = "covers it" if one.covers else "does not cover it"
    yield f"      {_mark(one.covers)} exclusion {one.exclusion.id} {covers}"
    yield from map(_condition, one.conditions)


def _condition(one: ConditionTrace) -> str:
    condition = one.condition
    wanted = ", ".join(f"“{visible(value)}”" for value in condition.values)
    said = f"{visible(condition.field)} {condition.operator} {wanted}".rstrip()
    return f"          {_mark(one.holds)} {said}; the event has {visible(told(one.found))}"


def _mark(holds: bool) -> str:
    return "✓" if holds else "✗"
