"""Explanation of why an event matches a rule or does not: the syntax tree with a result for each part.

This module evaluates the clauses of the compiled query one by one, without the generated functions. A test
checks that its results are those of the generated functions.
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
"""Maximum number of results of a function in an explanation. A function has a result for each combination of
the event's values, of which there may be very many."""

_MAX_VALUES_LISTED = 8
_MAX_VALUE_LENGTH = 200


class NodeKind(StrEnum):
    """Operator that a node applies to its children. A node of kind CLAUSE has no children."""

    AND = "and"
    OR = "or"
    NOT = "not"
    CLAUSE = ""


@dataclass(frozen=True, slots=True)
class FieldValues:
    """A field that a clause reads and its values; `values` is empty if the event lacks the field."""

    name: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class ExplanationNode:
    """A part of a query and whether it holds for the event.

    `text` is the source text of the part on a single line. The other attributes are set only for a clause:
    `operand` names the compared field or function result, and `expectation` is a phrase that follows this
    name. `fields` are the fields that the clause reads. `results` are the results of its function, at most
    MAX_FUNCTION_RESULTS; a result of None is EQL's null. All nodes except clauses have `children`.
    """

    kind: NodeKind
    text: str
    holds: bool
    operand: str = ""
    expectation: str = ""
    fields: tuple[FieldValues, ...] = ()
    results: tuple[NullableScalar, ...] = ()
    children: tuple["ExplanationNode", ...] = ()

    def top_level_nodes(self) -> Sequence["ExplanationNode"]:
        """Return the operands of a root `and`, or the node itself."""
        return self.children if self.kind is NodeKind.AND else (self,)

    def decisive_clauses(self) -> Iterator["ExplanationNode"]:
        """Yield the clauses that decided the result, in the order of the query."""
        if self.kind is NodeKind.CLAUSE:
            yield self
            return
        for node in self.children:
            if self.kind is NodeKind.NOT or node.holds is self.holds:
                yield from node.decisive_clauses()

    def missing_fields(self) -> list[str]:
        """Return the fields that this part of the query reads and the event lacks, without duplicates."""
        names = [field.name for field in self.fields if not field.values]
        for node in self.children:
            names += node.missing_fields()
        return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result for a rule and an event. `root` is the whole query; the event matches if it holds."""

    rule: Rule
    root: ExplanationNode

    @property
    def matches(self) -> bool:
        return self.root.holds


def explain(rule: Rule, document: Document) -> Explanation:
    """Evaluate every clause of `rule` for `document`, a decoded event as `app.formats` returns it."""
    condition = _explain_node(rule.tree.condition, rule, document)
    category = rule.tree.category_clause
    if category is not None:
        category_node = _explain_clause(category, f"{rule.tree.category} where", document, True)
        operands = condition.children if condition.kind is NodeKind.AND else (condition,)
        holds = category_node.holds and condition.holds
        condition = ExplanationNode(
            NodeKind.AND, _single_line(rule.query), holds, children=(category_node, *operands)
        )
    return Explanation(rule, condition)


def _explain_node(
    node: Expression, rule: Rule, document: Document, *, expected_result: bool = True
) -> ExplanationNode:
    """Explain `node`. `expected_result` is the result of `node` that contributes to a match of the query.

    Each `not` around a node inverts its expected result.
    """
    text = _single_line(rule.query[node.span.start : node.span.end])
    if isinstance(node, Not):
        inner = _explain_node(node.operand, rule, document, expected_result=not expected_result)
        return ExplanationNode(NodeKind.NOT, text, not inner.holds, children=(inner,))
    if isinstance(node, And | Or):
        children = tuple(
            _explain_node(operand, rule, document, expected_result=expected_result)
            for operand in node.operands
        )
        kind, combine = (NodeKind.AND, all) if isinstance(node, And) else (NodeKind.OR, any)
        holds = combine(child.holds for child in children)
        return ExplanationNode(kind, text, holds, children=children)
    return _explain_leaf(rule.tree.clauses[node], text, document, expected_result)


def _explain_leaf(
    clause: Clause | bool, text: str, document: Document, expected_result: bool
) -> ExplanationNode:
    if isinstance(clause, bool):
        expectation = "always holds" if clause else "never holds"
        return ExplanationNode(NodeKind.CLAUSE, text, clause, operand=text, expectation=expectation)
    return _explain_clause(clause, text, document, expected_result)


def _explain_clause(
    clause: Clause, text: str, document: Document, expected_result: bool
) -> ExplanationNode:
    operand_values = [field_values(document, name) for name in clause.fields]
    fields = {
        name: FieldValues(name, tuple(values))
        for name, values in zip(clause.fields, operand_values, strict=True)
    }
    results: tuple[NullableScalar, ...] = ()
    if isinstance(clause.target, Computation):
        compute = compile_computation(clause.target)
        results = tuple(
            compute(row) for row in islice(value_combinations(operand_values), MAX_FUNCTION_RESULTS)
        )
    test = _cached_test(clause, expected_result is not clause.negated)
    return ExplanationNode(
        kind=NodeKind.CLAUSE,
        text=text,
        holds=test(*operand_values) is not clause.negated,
        operand=clause.target if isinstance(clause.target, str) else "the result",
        expectation=describe_expectation(clause),
        fields=tuple(fields.values()),
        results=results,
    )


def format_values(values: Sequence[object]) -> str:
    """Format an event's values for display.

    Texts are quoted, long texts are truncated, and values after the first _MAX_VALUES_LISTED are only
    counted.
    """
    if not values:
        return "nothing"
    parts = [_format_value(value) for value in values[:_MAX_VALUES_LISTED]]
    if len(values) > _MAX_VALUES_LISTED:
        parts.append(f"and {len(values) - _MAX_VALUES_LISTED:,} more")
    return ", ".join(parts)


def _format_value(value: object) -> str:
    if isinstance(value, str):
        return f"“{truncate_with_count(value, _MAX_VALUE_LENGTH)}”"
    return "null" if value is None else str(value).lower()


@lru_cache(maxsize=8_192)
def _cached_test(clause: Clause, result_over_limit: bool) -> Callable[..., bool]:
    return clause.compile(result_over_limit=result_over_limit)


def _single_line(text: str) -> str:
    return " ".join(text.split())
