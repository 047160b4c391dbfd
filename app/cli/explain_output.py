"""Output of `deckwatch explain`: explain the events of a file, and format the explanations as text."""

from collections.abc import Iterator

from app.cli.event_files import EventFile
from app.cli.rule_selection import RuleSelection
from app.clock import utc_now
from app.detection.explain import ExplanationNode, NodeKind, format_values
from app.detection.rule import Rule
from app.domain.errors import FatalError
from app.domain.text import escape_invisible
from app.ingest.explain import (
    ConditionExplanation,
    EventExplanation,
    ExclusionExplanation,
    RuleExplanation,
    explain_raw_event,
)
from app.settings import Settings


def explain_file(
    file: EventFile, settings: Settings, selection: RuleSelection
) -> Iterator[EventExplanation]:
    """Explain each event of a file. Raises FatalError if the file cannot be read completely."""
    for raw_events in file.blocks():
        for raw_event in raw_events:
            yield explain_raw_event(
                raw_event,
                selection.rules,
                enabled_rules=selection.enabled_rules,
                exclusions=selection.exclusions_by_rule,
                at=utc_now(),
                max_event_bytes=settings.max_event_bytes,
            )
    if file.problem is not None:
        raise FatalError(f"{file.display_name} {file.problem}.")


def format_explanation(event: EventExplanation, file_name: str) -> Iterator[str]:
    """Yield the lines of the explanation of one event.

    The matching rules are first. The other rules follow, sorted by their number of failing clauses.
    """
    where = f"{file_name}:{event.raw_event.line}"
    if event.event is None:
        yield f"{where}: invalid event: {escape_invisible(event.rejection_reason or '')}"
        return
    yield f"{where}: {escape_invisible(event.event.headline)}"
    match_count = sum(rule.explanation.matches for rule in event.rules)
    yield f"  {match_count} of {len(event.rules)} rules match"
    for rule in event.rules:
        yield ""
        yield from _format_rule(rule)


def _format_rule(explained: RuleExplanation) -> Iterator[str]:
    rule, matches = explained.explanation.rule, explained.explanation.matches
    result = "matches" if matches else "does not match"
    if explained.suppressed_by is not None:
        result = f"matches, suppressed by exclusion {explained.suppressed_by.id}"
    state = "" if explained.is_enabled else " (disabled)"
    yield f"  {_check_mark(matches)} {escape_invisible(rule.name)}{state}: {result}  [{_slug_and_id(rule)}]"
    for node in explained.explanation.root.top_level_nodes():
        yield from _format_node(node, 3)
    if missing := explained.explanation.root.missing_fields():
        yield f"      Missing fields: {', '.join(map(escape_invisible, missing))}"
    for exclusion in explained.exclusions if matches else ():
        yield from _format_exclusion(exclusion)


def _slug_and_id(rule: Rule) -> str:
    return f"{rule.slug}, {rule.id}"


def _format_node(node: ExplanationNode, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if node.kind is NodeKind.CLAUSE:
        yield f"{indent}{_check_mark(node.holds)} {escape_invisible(node.text)}"
        if not node.holds or node.results:
            expected = f"{node.operand} {node.expectation}"
            yield f"{indent}    expected: {escape_invisible(expected)}"
        for field in node.fields:
            values = escape_invisible(format_values(field.values))
            yield f"{indent}    {escape_invisible(field.name)}: {values}"
        if node.results:
            yield f"{indent}    result: {escape_invisible(format_values(node.results))}"
        return
    heading = {NodeKind.AND: "all of these", NodeKind.OR: "any of these", NodeKind.NOT: "not"}[
        node.kind
    ]
    yield f"{indent}{_check_mark(node.holds)} {heading}"
    for child in node.children:
        yield from _format_node(child, depth + 1)


def _format_exclusion(explained: ExclusionExplanation) -> Iterator[str]:
    covers = "covers it" if explained.covers else "does not cover it"
    yield f"      {_check_mark(explained.covers)} exclusion {explained.exclusion.id} {covers}"
    yield from map(_format_condition, explained.conditions)


def _format_condition(explained: ConditionExplanation) -> str:
    condition = explained.condition
    values = ", ".join(f"“{escape_invisible(value)}”" for value in condition.values)
    text = f"{escape_invisible(condition.field)} {condition.operator} {values}".rstrip()
    actual = escape_invisible(format_values(explained.event_values))
    return f"          {_check_mark(explained.holds)} {text}; the event has {actual}"


def _check_mark(holds: bool) -> str:
    return "✓" if holds else "✗"
