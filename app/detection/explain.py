"""Why an event matches a rule, or why not: the rule's own syntax tree, with what each part found.

This evaluates the clauses of the compiled query one by one, without the generated functions. A test checks
that both have the same result.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import islice

from app.detection.eql.clauses import Clause
from app.detection.eql.coercion import NullableScalar
from app.detection.eql.computations import Computation, compile_computation, value_combinations
from app.detection.eql.predicate_text import describe_expectation
from app.detection.eql.syntax_tree import And, Expression, Not, Or
from app.detection.rule import Rule
from app.domain.ecs_fields import Document, Scalar, field_values
from app.domain.text import truncate_with_count

MAX_FUNCTION_RESULTS = 20
"""Results of a function that are told; an event may have many values."""

_MAX_VALUES_LISTED = 8
_MAX_VALUE_LENGTH = 200


class NodeKind(StrEnum):
    """How a step joins the steps below it; CLAUSE has none below."""

    AND = "and"
    OR = "or"
    NOT = "not"
    CLAUSE = ""


@dataclass(frozen=True, slots=True)
class FieldValues:
    """A field that a clause reads; `values` is empty where the event has none."""

    name: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class ExplanationNode:
    """One part of a query, and whether it holds for the event.

    `text` is how the query has it, on one line. Of a clause, `expectation` is what it asks, in words that
    follow the name of what is asked; `fields` are what the event has; `results` is what functions make
    of that, at most MAX_FUNCTION_RESULTS results, None being null; `operand` names what is asked.
    """

    kind: NodeKind
    text: str
    holds: bool
    operand: str = ""
    expectation: str = ""
    fields: tuple[FieldValues, ...] = ()
    results: tuple[NullableScalar, ...] = ()
    children: tuple["ExplanationNode", ...] = ()

    def decisive_clauses(self) -> Iterator["ExplanationNode"]:
        """The clauses that made the result what it is, in the order of the query."""
        if self.kind is NodeKind.CLAUSE:
            yield self
            return
        for node in self.children:
            if self.kind is NodeKind.NOT or node.holds is self.holds:
                yield from node.decisive_clauses()

    def missing_fields(self) -> list[str]:
        """Fields that the query asks for and the event does not have, each once."""
        names = [found.name for found in self.fields if not found.values]
        for node in self.children:
            names += node.missing_fields()
        return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Explanation:
    """`root` is the whole query; an event matches `rule` if it holds."""

    rule: Rule
    root: ExplanationNode

    @property
    def matches(self) -> bool:
        return self.root.holds


def explain(rule: Rule, document: Document) -> Explanation:
    """Every clause of `rule` for an event decoded whole (JSON types, as `formats` gives them)."""
    condition = _explain_node(rule.tree.condition, rule, document)
    category = rule.tree.category_clause
    if category is not None:
        asked = _explain_clause(category, f"{rule.tree.category} where", document, True)
        steps = condition.children if condition.kind is NodeKind.AND else (condition,)
        holds = asked.holds and condition.holds
        condition = ExplanationNode(
            NodeKind.AND, _single_line(rule.query), holds, children=(asked, *steps)
        )
    return Explanation(rule, condition)


def _explain_node(
    node: Expression, rule: Rule, document: Document, *, expected_result: bool = True
) -> ExplanationNode:
    """`expected_result` is what `node` must be for the query to match; each `not` turns it round."""
    text = _single_line(rule.query[node.span.start : node.span.end])
    if isinstance(node, Not):
        inner = _explain_node(node.operand, rule, document, expected_result=not expected_result)
        return ExplanationNode(NodeKind.NOT, text, not inner.holds, children=(inner,))
    if isinstance(node, And | Or):
        steps = tuple(
            _explain_node(operand, rule, document, expected_result=expected_result)
            for operand in node.operands
        )
        together = all if isinstance(node, And) else any
        word = NodeKind.AND if isinstance(node, And) else NodeKind.OR
        return ExplanationNode(word, text, together(node.holds for node in steps), children=steps)
    return _explain_leaf(rule.tree.clauses[node], text, document, expected_result)


def _explain_leaf(
    asked: Clause | bool, text: str, document: Document, expected_result: bool
) -> ExplanationNode:
    if isinstance(asked, bool):
        said = "always holds" if asked else "never holds"
        return ExplanationNode(NodeKind.CLAUSE, text, asked, operand=text, expectation=said)
    return _explain_clause(asked, text, document, expected_result)


def _explain_clause(
    asked: Clause, text: str, document: Document, expected_result: bool
) -> ExplanationNode:
    found = [field_values(document, name) for name in asked.fields]
    fields = tuple(
        FieldValues(name, tuple(of_one)) for name, of_one in zip(asked.fields, found, strict=True)
    )
    results: tuple[NullableScalar, ...] = ()
    if isinstance(asked.target, Computation):
        compute = compile_computation(asked.target)
        results = tuple(
            compute(row) for row in islice(value_combinations(found), MAX_FUNCTION_RESULTS)
        )
    return ExplanationNode(
        kind=NodeKind.CLAUSE,
        text=text,
        holds=_cached_test(asked, expected_result is not asked.negated)(*found)
        is not asked.negated,
        operand=asked.target if isinstance(asked.target, str) else "the result",
        expectation=describe_expectation(asked),
        fields=tuple({one.name: one for one in fields}.values()),
        results=results,
    )


def format_values(values: Sequence[object]) -> str:
    """Values of an event as a list for people: texts in quotes, long ones cut, the rest counted."""
    if not values:
        return "nothing"
    shown = [_format_value(value) for value in values[:_MAX_VALUES_LISTED]]
    if len(values) > _MAX_VALUES_LISTED:
        shown.append(f"and {len(values) - _MAX_VALUES_LISTED:,} more")
    return ", ".join(shown)


def _format_value(value: object) -> str:
    if isinstance(value, str):
        return f"“{truncate_with_count(value, _MAX_VALUE_LENGTH)}”"
    return "null" if value is None else str(value).lower()


@lru_cache(maxsize=8_192)
def _cached_test(asked: Clause, result_over_limit: bool) -> Callable[..., bool]:
    return asked.compile(result_over_limit=result_over_limit)


def _single_line(text: str) -> str:
    return " ".join(text.split())
