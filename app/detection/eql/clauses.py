"""The comparisons of a query tree as questions about an event, and every complaint on the way.

The meaning is Elasticsearch's, which turns a single-event query into its query DSL
(elastic/elasticsearch, x-pack/plugin/eql, `QueryTranslator` and `querytranslator_tests.txt`):

- `==`, `in`: a term query. Exact and case-sensitive; `*` is a character like any other.
- `:` and `like~`: term or wildcard query with `case_insensitive`. `like`: the same without it.
  `in~`: term query with `case_insensitive`; `*` is literal there too.
- `!=` and `not`: `must_not` around the positive query. They hold for an event without the field,
  and fail as soon as one value fits; `not f > 1` is not `f <= 1`.
- `< <= > >=`: a range query, false for an event without the field.
- `== null`, `!= null`: `must_not` around an exists query, and an exists query.
- A boolean field or function standing alone means `== true`; of a function, `== false` means `not`.
- Functions: a script over each value of a field, of which none holds for null; `not` is outside.

Types are those of ECS. Elasticsearch takes `?field` for null where the index does not know the
field. Here there is no index, so it is a field like any other that an event may have or not.
"""

from collections.abc import Callable, Iterator, Sequence
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
from app.detection.eql.errors import EqlError
from app.detection.eql.operands import (
    TypedOperand,
    as_field_predicate,
    check_operand,
    refuse,
    returns_boolean,
)
from app.detection.eql.predicates import ORDERING_FUNCTIONS, Exists, IsNull, Predicate, TextIn
from app.detection.eql.syntax_tree import (
    And,
    BooleanOperand,
    Call,
    Comparison,
    ComparisonOperator,
    Expression,
    Literal,
    Lookup,
    Not,
    Operand,
    Or,
    Query,
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
    """`question` about the values of a field, or about what is computed of several.

    It holds if any value fits; if `negated`, unless any fits.
    """

    target: str | Computation
    predicate: Predicate
    negated: bool

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else self.target.fields

    def compile(self, *, result_over_limit: bool) -> Callable[..., bool]:
        """Whether any value fits, of what an event has in each of `fields` (see `values`).

        `past_most` is the answer for an event with more combinations than are tried.
        """
        if isinstance(self.target, str):
            any_matches, matches = (
                ANY_VALUE_TESTS[self.predicate.value_type],
                self.predicate.compile(),
            )
            return lambda found: any_matches(found, matches)
        return compile_any_row(self.target, self.predicate, result_over_limit=result_over_limit)


def category_clause(query: Query) -> Clause | None:
    """What `process where` asks: that `event.category` has `process`. None for `any where`."""
    if query.category is None:
        return None
    return Clause("event.category", TextIn(frozenset((query.category,)), ignore_case=False), False)


def build_clause(node: LeafCondition) -> Clause | bool:
    """What `node` asks, or its answer if that is the same for every event (`where true`).

    Raises EqlError for what does not exist and for constants that the other side cannot equal.
    """
    if isinstance(node, BooleanOperand):
        return _boolean_clause(node.operand, polarity=True)
    if isinstance(node, Lookup):
        return _lookup_clause(node)
    return _comparison_clause(node)


def semantic_errors(query: Query) -> Iterator[EqlError]:
    """Everything wrong with the meaning of `query`, in no particular order."""
    for leaf in leaf_conditions(query.condition):
        try:
            build_clause(leaf)
        except EqlError as error:
            yield error


def leaf_conditions(condition: Expression) -> Iterator[LeafCondition]:
    """The comparisons of `condition`, from left to right."""
    pending: list[Expression] = [condition]
    while pending:
        node = pending.pop()
        if isinstance(node, Not):
            pending.append(node.operand)
        elif isinstance(node, And | Or):
            pending.extend(reversed(node.operands))
        else:
            yield node


def _boolean_clause(operand: Operand, *, polarity: bool) -> Clause | bool:
    found = check_operand(operand)
    if isinstance(found, Literal):
        may_be_null = isinstance(operand, Call) and returns_boolean(operand)
        if not isinstance(found.value, bool) and not may_be_null:
            refuse(found, "a condition is a comparison, true or false")
        return found.value is True if polarity else found.value is not True
    if isinstance(found.node, Call) and (field_predicate := as_field_predicate(found.node)):
        return Clause(*field_predicate, not polarity)
    return Clause(found.target, is_true_predicate(found), not polarity)


def _lookup_clause(node: Lookup) -> Clause | bool:
    operand = check_operand(node.operand)
    if isinstance(operand, Literal):
        refuse(operand, "a constant cannot stand here; name a field")
    literals = [_require_constant(value) for value in node.values]
    return Clause(operand.target, lookup_predicate(operand, node.operator, literals), False)


def _require_constant(operand: Operand) -> Literal:
    found = check_operand(operand)
    if isinstance(found, TypedOperand):
        refuse(operand, f"{found.description} is a field, and only constants can be listed here")
    return found


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
        # A field is null when there is nothing to ask; a function may be null for one value of many.
        if isinstance(left.target, Computation):
            return Clause(left.target, IsNull(), not equal)
        return Clause(left.target, Exists(), equal)
    if isinstance(left.node, Call) and returns_boolean(left.node) and isinstance(right.value, bool):
        return _boolean_clause(left.node, polarity=right.value is equal)
    return Clause(left.target, equality_predicate(left, (right,)), not equal)


def _compare_constants(left: Literal, comparator: ComparisonOperator, right: Literal) -> bool:
    """Two constants compared; null equals null and nothing else."""
    first, second = left.value, right.value
    if comparator in ORDERING_FUNCTIONS:
        if first is None or second is None:
            return False
        if isinstance(first, bool) or isinstance(second, bool):
            refuse(right, f"'{comparator}' orders numbers and texts")
        if isinstance(first, str) is not isinstance(second, str):
            refuse(right, "a text and a number cannot be compared")
        return bool(ORDERING_FUNCTIONS[comparator](first, second))
    same = first == second and isinstance(first, bool) is isinstance(second, bool)
    return same is (comparator is ComparisonOperator.EQUAL)


def fields_read_by(query: Query) -> Sequence[str]:
    """Every field that `query` reads, `event.category` included, each once."""
    asked = [category_clause(query), *map(build_clause, leaf_conditions(query.condition))]
    found = (one.fields for one in asked if isinstance(one, Clause))
    return list(dict.fromkeys(name for names in found for name in names))
