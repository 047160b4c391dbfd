"""`deckwatch explain`: the events of a file, each with what every rule makes of it, as lines of text."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from app.cli.replay_run import MAX_DOCUMENT_BYTES
from app.cli.rule_selection import RuleSelection
from app.clock import utc_now
from app.detection.explain import ExplanationNode, NodeKind, format_values
from app.detection.rule import Rule
from app.domain.errors import FatalError
from app.domain.text import escape_invisible
from app.ingest.decompress import CHUNK_BYTES, DecompressionError, decompress_auto
from app.ingest.events import ContentTooLarge, UnreadableBody
from app.ingest.explain import (
    ConditionExplanation,
    EventExplanation,
    ExclusionExplanation,
    RuleExplanation,
    explain_raw_event,
)
from app.ingest.split import split_stream
from app.settings import Settings

STDIN = "-"


def explain_file(
    name: str, settings: Settings, selection: RuleSelection
) -> Iterator[EventExplanation]:
    """Each event of a file (plain, gzip or zstd; `-` is stdin), explained. Raises FatalError."""
    try:
        blocks = split_stream(
            decompress_auto(_read_chunks(name)),
            max_document_bytes=max(MAX_DOCUMENT_BYTES, settings.max_body_bytes),
            max_event_bytes=settings.max_event_bytes,
        )
        for items in blocks:
            for item in items:
                yield explain_raw_event(
                    item,
                    selection.rules,
                    enabled_rules=selection.enabled_rules,
                    exclusions=selection.exclusions_by_rule,
                    at=utc_now(),
                    max_event_bytes=settings.max_event_bytes,
                )
    except UnreadableBody:
        raise FatalError(f"{escape_invisible(name)} holds no events.") from None
    except (ContentTooLarge, DecompressionError) as error:
        raise FatalError(f"{escape_invisible(name)} cannot be read: {error}") from None
    except OSError as error:
        raise FatalError(f"{escape_invisible(name)} cannot be read: {error.strerror}.") from None


def _read_chunks(name: str) -> Iterator[bytes]:
    with nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb") as file:
        while part := file.read(CHUNK_BYTES):
            yield part


def format_explanation(found: EventExplanation, name: str) -> Iterator[str]:
    """What the terminal shows of one event: the rules that match first, then those nearest to it."""
    where = f"{escape_invisible(name)}:{found.raw_event.line}"
    if found.event is None:
        yield f"{where}: not an event that can be read: {escape_invisible(found.rejection_reason or '')}"
        return
    yield f"{where}: {escape_invisible(found.event.headline)}"
    matching = sum(one.explanation.matches for one in found.rules)
    yield f"  {matching} of {len(found.rules)} rules match"
    for one in found.rules:
        yield ""
        yield from _format_rule(one)


def _format_rule(one: RuleExplanation) -> Iterator[str]:
    rule, matches = one.explanation.rule, one.explanation.matches
    result = "matches" if matches else "does not match"
    if one.suppressed_by is not None:
        result = f"matches, suppressed by exclusion {one.suppressed_by.id}"
    state = "" if one.is_enabled else " (disabled)"
    yield f"  {_check_mark(matches)} {escape_invisible(rule.name)}{state}: {result}  [{_slug_and_id(rule)}]"
    for node in _top_level_nodes(one.explanation.root):
        yield from _format_node(node, 3)
    if missing := one.explanation.root.missing_fields():
        yield f"      The event does not have: {', '.join(map(escape_invisible, missing))}"
    for exclusion in one.exclusions if matches else ():
        yield from _format_exclusion(exclusion)


def _slug_and_id(rule: Rule) -> str:
    return f"{rule.slug}, {rule.id}"


def _top_level_nodes(condition: ExplanationNode) -> Sequence[ExplanationNode]:
    return condition.children if condition.kind is NodeKind.AND else (condition,)


def _format_node(node: ExplanationNode, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if node.kind is NodeKind.CLAUSE:
        yield f"{indent}{_check_mark(node.holds)} {escape_invisible(node.text)}"
        if not node.holds or node.results:
            yield f"{indent}    expected: {escape_invisible(node.operand)} {escape_invisible(node.expectation)}"
        for one in node.fields:
            yield f"{indent}    {escape_invisible(one.name)}: {escape_invisible(format_values(one.values))}"
        if node.results:
            yield f"{indent}    the result: {escape_invisible(format_values(node.results))}"
        return
    joined = {NodeKind.AND: "all of these", NodeKind.OR: "any of these", NodeKind.NOT: "not"}[
        node.kind
    ]
    yield f"{indent}{_check_mark(node.holds)} {joined}"
    for below in node.children:
        yield from _format_node(below, depth + 1)


def _format_exclusion(one: ExclusionExplanation) -> Iterator[str]:
    covers = "covers it" if one.covers else "does not cover it"
    yield f"      {_check_mark(one.covers)} exclusion {one.exclusion.id} {covers}"
    yield from map(_format_condition, one.conditions)


def _format_condition(one: ConditionExplanation) -> str:
    condition = one.condition
    wanted = ", ".join(f"“{escape_invisible(value)}”" for value in condition.values)
    text = f"{escape_invisible(condition.field)} {condition.operator} {wanted}".rstrip()
    return f"          {_check_mark(one.holds)} {text}; the event has {escape_invisible(format_values(one.event_values))}"


def _check_mark(holds: bool) -> str:
    return "✓" if holds else "✗"
