"""Translation of the comparisons in a syntax tree to clauses. A clause is a field or computation with a
predicate.

A clause means the same as the query DSL that Elasticsearch generates for a single-event query
(elastic/elasticsearch, x-pack/plugin/eql, `QueryTranslator` and `querytranslator_tests.txt`):

- `==`, `in`: term query, exact and case-sensitive; `*` is literal.
- `:` and `like~`: term or wildcard query with `case_insensitive`. `like`: the same query without
  `case_insensitive`. `in~`: term query with `case_insensitive`; `*` is literal.
- `!=` and `not`: `must_not` around the positive query. Such a condition holds for an event without the field
  and does not hold if any value matches; `not f > 1` differs from `f <= 1`.
- `< <= > >=`: range query, false for an event without the field.
- `== null`: `must_not` around an exists query. `!= null`: exists query.
- A boolean field or function that stands alone as a condition means `== true`. For a function, `== false`
  means `not`.
- Functions: a script that tests each value of a field and is false for null. `not` inverts the result of the
  whole script.

Field types are those of ECS. In Elasticsearch, `?field` is null if the index does not have the field.
Deckwatch has no index, so `?field` is a field that an event may or may not have, known or unknown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from app.detection.eql.coercion import ANY_VALUE_TESTS
from app.detection.eql.comparisons import (
    equality_predicate,
    is_true_predicate,
    lookup_predicate,
    range_predicate,
)
from app.detection.eql.computations import Computation, compile_any_row
from app.detection.eql.operands import (
    TypedOperand,
    as_field_predicate,
    check_operand,
    refuse,
    returns_boolean,
)
from app.detection.eql.predicates import ORDERING_FUNCTIONS, Exists, IsNull, Predicate, TextIn
from app.detection.eql.syntax_tree import (
    BooleanOperand,
    Call,
    Comparison,
    ComparisonOperator,
    Literal,
    Lookup,
    Operand,
)

LeafCondition: TypeAlias = Comparison | Lookup | BooleanOperand

_MIRRORED = {
    ComparisonOperator.LESS: ComparisonOperator.GREATER,
    ComparisonOperator.LESS_OR_EQUAL: ComparisonOperator.GREATER_OR_EQUAL,
    ComparisonOperator.GREATER: ComparisonOperator.LESS,
    ComparisonOperator.GREATER_OR_EQUAL: ComparisonOperator.LESS_OR_EQUAL,
}


@dataclass(frozen=True, slots=True)
class Clause:
    """A predicate for the values of a field or the results of a computation (`target`).

    The clause holds if any value or result matches the predicate or, if `negated`, if none of them matches.
    """

    target: str | Computation
    predicate: Predicate
    negated: bool

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else self.target.fields

    def compile(self, *, result_over_limit: bool) -> Callable[..., bool]:
        """Return a function that tests field values (see `coercion`), one argument for each of `fields`.

        The function returns whether any value matches; it ignores `negated`. It returns `result_over_limit`
        if the event has more combinations of values than it may test and none of the tested combinations
        matches.
        """
        if isinstance(self.target, str):
            any_matches, matches = (
                ANY_VALUE_TESTS[self.predicate.value_type],
                self.predicate.compile(),
            )
            return lambda field_value: any_matches(field_value, matches)
        return compile_any_row(self.target, self.predicate, result_over_limit=result_over_limit)


def category_clause(category: str | None) -> Clause | None:
    """Return the clause "`event.category` has the value `category`", or None for `any where`."""
    if category is None:
        return None
    return Clause("event.category", TextIn(frozenset((category,)), ignore_case=False), False)


def build_clause(node: LeafCondition) -> Clause | bool:
    """Return the clause of `node`, or the result of `node` if it is the same for every event (`where true`).

    Raises EqlError for unknown fields and functions, and for types that cannot be compared.
    """
    if isinstance(node, BooleanOperand):
        return _boolean_clause(node.operand, polarity=True)
    if isinstance(node, Lookup):
        return _lookup_clause(node)
    return _comparison_clause(node)


def _boolean_clause(operand: Operand, *, polarity: bool) -> Clause | bool:
    checked = check_operand(operand)
    if isinstance(checked, Literal):
        may_be_null = isinstance(operand, Call) and returns_boolean(operand)
        if not isinstance(checked.value, bool) and not may_be_null:
            refuse(checked, "a condition must be a comparison or a boolean")
        return checked.value is True if polarity else checked.value is not True
    if isinstance(checked.node, Call) and (field_predicate := as_field_predicate(checked.node)):
        return Clause(*field_predicate, not polarity)
    return Clause(checked.target, is_true_predicate(checked), not polarity)


def _lookup_clause(node: Lookup) -> Clause | bool:
    operand = check_operand(node.operand)
    if isinstance(operand, Literal):
        refuse(operand, "the left side must be a field or a function, not a constant")
    literals = [_require_constant(value) for value in node.values]
    return Clause(operand.target, lookup_predicate(operand, node.operator, literals), False)


def _require_constant(operand: Operand) -> Literal:
    checked = check_operand(operand)
    if isinstance(checked, TypedOperand):
        refuse(operand, f"{checked.description} is not a constant; list constants only")
    return checked


def _comparison_clause(node: Comparison) -> Clause | bool:
    comparator, left, right = node.operator, check_operand(node.left), check_operand(node.right)
    if isinstance(left, Literal):
        if isinstance(right, Literal):
            return _compare_constants(left, comparator, right)
        left, right = right, left
        comparator = _MIRRORED.get(comparator, comparator)
    if isinstance(right, TypedOperand):
        refuse(right.node, "two fields cannot be compared with each other; compare with a constant")
    if comparator in _MIRRORED:
        return Clause(left.target, range_predicate(left, comparator, right), False)
    equal = comparator is ComparisonOperator.EQUAL
    if right.value is None:
        # A field is null if it has no values; a function can be null for one of several values.
        if isinstance(left.target, Computation):
            return Clause(left.target, IsNull(), not equal)
        return Clause(left.target, Exists(), equal)
    if isinstance(left.node, Call) and returns_boolean(left.node) and isinstance(right.value, bool):
        return _boolean_clause(left.node, polarity=right.value is equal)
    return Clause(left.target, equality_predicate(left, (right,)), not equal)


def _compare_constants(left: Literal, comparator: ComparisonOperator, right: Literal) -> bool:
    """Return the result of comparing two constants. Null equals only null."""
    first, second = left.value, right.value
    if comparator in ORDERING_FUNCTIONS:
        if first is None or second is None:
            return False
        if isinstance(first, bool) or isinstance(second, bool):
            refuse(right, f"'{comparator}' compares numbers and strings")
        if isinstance(first, str) is not isinstance(second, str):
            refuse(right, "a string and a number cannot be compared")
        return bool(ORDERING_FUNCTIONS[comparator](first, second))
    same = first == second and isinstance(first, bool) is isinstance(second, bool)
    return same is (comparator is ComparisonOperator.EQUAL)
