"""Translation of the comparisons in a syntax tree to clauses.

A clause is a predicate together with the field or function call that it tests. Elasticsearch translates a
single-event query to query DSL (elastic/elasticsearch, x-pack/plugin/eql, `QueryTranslator` and
`querytranslator_tests.txt`). A clause has the same meaning as this query DSL:

- `==` and `in` are term queries. They are exact and case-sensitive. `*` is literal.
- `in~` is a term query with `case_insensitive`. `*` is literal.
- `like` is a term or wildcard query. It is case-sensitive.
- `:` and `like~` are term or wildcard queries with `case_insensitive`.
- `!=` and `not` are `must_not` around the positive query. They are true for an event without the field. They
  are false if one or more values of the field match. For example, an event without the field `f` matches
  `not f > 1`, but does not match `f <= 1`.
- `<`, `<=`, `>` and `>=` are range queries. They are false for an event without the field.
- `== null` is `must_not` around an exists query. `!= null` is an exists query.
- A boolean field or function can be a condition without a comparison. The condition then means `== true`.
- For a boolean function, `== false` means `not`.
- A function is a script that tests each value of a field. The script is false for null. `not` inverts the
  final result of the script. For example, `not startsWith(f, "a")` is false if one or more values of `f`
  start with "a".

Fields have the types that ECS defines. In Elasticsearch, `?field` is null if the index does not have the
field. Deckwatch has no index, so `?field` is null if the event does not have the field. `?field` is also
allowed for a field that ECS does not define.
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
    """A predicate together with its target.

    `target` is the name of a field, or a computation. The values of the target are the values of the field,
    or the results of the computation. If `negated` is false, the clause holds if the predicate holds for at
    least one value. If `negated` is true, the clause holds if the predicate holds for no value.
    """

    target: str | Computation
    predicate: Predicate
    negated: bool

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else self.target.fields

    def compile(self, *, result_over_limit: bool) -> Callable[..., bool]:
        """Return a function that tests the field values of an event.

        The function has one parameter for each of `fields`. The argument is the value of this field (see
        `coercion`). The function returns true if the predicate holds for at least one value of the target.
        The function does not use `negated`.

        The module `computations` limits the number of combinations of values that are tested. If an event has
        more combinations, only the first combinations are tested. If none of the tested combinations matches,
        the function returns `result_over_limit`.
        """
        if isinstance(self.target, str):
            any_matches, matches = (
                ANY_VALUE_TESTS[self.predicate.value_type],
                self.predicate.compile(),
            )
            return lambda field_value: any_matches(field_value, matches)
        return compile_any_row(self.target, self.predicate, result_over_limit=result_over_limit)


def category_clause(category: str | None) -> Clause | None:
    """Return the clause that tests `event.category`, or None if the query starts with `any where`."""
    if category is None:
        return None
    return Clause("event.category", TextIn(frozenset((category,)), ignore_case=False), False)


def build_clause(node: LeafCondition) -> Clause | bool:
    """Return the clause of `node`. If `node` has the same result for every event, return this result.

    For example, `true` and `1 == 1` have the same result for every event. Raises EqlError for unknown fields
    and functions, and for types that cannot be compared.
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
        # A null field has no values, so `== null` is the negation of `Exists`. A function can have several
        # results, and `== null` holds if at least one result is null.
        if isinstance(left.target, Computation):
            return Clause(left.target, IsNull(), not equal)
        return Clause(left.target, Exists(), equal)
    if isinstance(left.node, Call) and returns_boolean(left.node) and isinstance(right.value, bool):
        return _boolean_clause(left.node, polarity=right.value is equal)
    return Clause(left.target, equality_predicate(left, (right,)), not equal)


def _compare_constants(left: Literal, comparator: ComparisonOperator, right: Literal) -> bool:
    """Return the result of a comparison of two constants. Null is equal only to null."""
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
