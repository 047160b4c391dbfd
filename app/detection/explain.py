"""Explanation of why an event matches a rule or does not match it, with a result for each part of the query.

A clause is a condition without `and`, `or` and `not`. The functions that `codegen` generates return no result
for a single clause, so this module evaluates each clause itself. A test checks that this module and the
generated functions agree.
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
"""Maximum number of results that an explanation lists for an EQL function. The function has a result for each
combination of its fields' values, so there can be very many results."""

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
    """A field that a clause reads. `values` is empty if the event does not have the field."""

    name: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class ExplanationNode:
    """A part of a query, with its result for the event.

    `text` is the EQL source of the part on a single line. `holds` is the result. A node of kind CLAUSE has no
    `children`. It has these attributes instead:

    - `operand`: the name of the field that the clause tests. If the clause tests the result of a function,
      `operand` is "the result". For the constant condition `1 == 1`, `operand` is the text `1 == 1`.
    - `expectation`: a phrase that follows `operand`, such as `is one of “ssh”, “sshd”`.
    - `fields`: the fields that the clause reads.
    - `results`: the first MAX_FUNCTION_RESULTS results of the EQL function that the clause tests. None means
      EQL's null. If the clause tests a field, `results` is empty.
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
        """Return the nodes at the top level of the explanation.

        If this node is an `and`, the result contains its operands. Otherwise, the result contains only this
        node.
        """
        return self.children if self.kind is NodeKind.AND else (self,)

    def decisive_clauses(self) -> Iterator["ExplanationNode"]:
        """Yield the clauses that caused the result, in the order of the query.

        For example, the false clauses cause the result of an `and` that does not hold.
        """
        if self.kind is NodeKind.CLAUSE:
            yield self
            return
        for node in self.children:
            if self.kind is NodeKind.NOT or node.holds is self.holds:
                yield from node.decisive_clauses()

    def missing_fields(self) -> list[str]:
        """Return the fields that this node reads but the event does not have, without duplicates."""
        names = [field.name for field in self.fields if not field.values]
        for node in self.children:
            names += node.missing_fields()
        return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation for a rule and an event. The event matches if `root`, the complete query, holds."""

    rule: Rule
    root: ExplanationNode

    @property
    def matches(self) -> bool:
        return self.root.holds


def explain(rule: Rule, document: Document) -> Explanation:
    """Return the explanation for `rule` and `document`, an event that `app.formats` has converted to ECS."""
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
    """Return the explanation of `node`.

    `expected_result` is true if the query needs `node` to be true. `expected_result` is false if the query
    needs `node` to be false. For example, `expected_result` is false for `b` in the query `a and not b`.

    An event can have too many combinations of values to test. A clause that matches none of the tested
    combinations then gets `expected_result` as its result.
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
    """Return `values`, which come from an event, as one text for display.

    Texts are quoted, and long texts are truncated. After the first _MAX_VALUES_LISTED values, the text gives
    only the number of remaining values.
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
