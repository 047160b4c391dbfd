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

from app.detection.eql.comparisons import is_true, looked_up, one_of, ordered
from app.detection.eql.computed import Computed, any_row
from app.detection.eql.errors import EqlError
from app.detection.eql.questions import ORDERS, Exists, IsNull, Question, TextIs
from app.detection.eql.subjects import Subject, gives_boolean, known, question_of, refuse
from app.detection.eql.tree import (
    And,
    Call,
    Comparator,
    Comparison,
    Expression,
    Literal,
    Membership,
    Not,
    Operand,
    Or,
    Query,
    Truth,
)
from app.detection.eql.values import READERS

Leaf: TypeAlias = Comparison | Membership | Truth

_SWAPPED = {
    Comparator.LESS: Comparator.GREATER,
    Comparator.LESS_OR_EQUAL: Comparator.GREATER_OR_EQUAL,
    Comparator.GREATER: Comparator.LESS,
    Comparator.GREATER_OR_EQUAL: Comparator.LESS_OR_EQUAL,
}


@dataclass(frozen=True, slots=True)
class Clause:
    """`question` about the values of a field, or about what is computed of several.

    It holds if any value fits; if `negated`, unless any fits.
    """

    subject: str | Computed
    question: Question
    negated: bool

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.subject,) if isinstance(self.subject, str) else self.subject.fields

    def asker(self, *, past_most: bool) -> Callable[..., bool]:
        """Whether any value fits, of what an event has in each of `fields` (see `values`).

        `past_most` is the answer for an event with more combinations than are tried.
        """
        if isinstance(self.subject, str):
            reader, fits = READERS[self.question.reader], self.question.test()
            return lambda found: reader(found, fits)
        return any_row(self.subject, self.question, past_most=past_most)


def category_clause(query: Query) -> Clause | None:
    """What `process where` asks: that `event.category` has `process`. None for `any where`."""
    if query.category is None:
        return None
    return Clause("event.category", TextIs(frozenset((query.category,)), any_case=False), False)


def clause(node: Leaf) -> Clause | bool:
    """What `node` asks, or its answer if that is the same for every event (`where true`).

    Raises EqlError for what does not exist and for constants that the other side cannot equal.
    """
    if isinstance(node, Truth):
        return _truth(node.operand, as_is=True)
    if isinstance(node, Membership):
        return _membership(node)
    return _comparison(node)


def complaints(query: Query) -> Iterator[EqlError]:
    """Everything wrong with the meaning of `query`, in no particular order."""
    for leaf in leaves(query.condition):
        try:
            clause(leaf)
        except EqlError as error:
            yield error


def leaves(condition: Expression) -> Iterator[Leaf]:
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


def _truth(operand: Operand, *, as_is: bool) -> Clause | bool:
    found = known(operand)
    if isinstance(found, Literal):
        may_be_null = isinstance(operand, Call) and gives_boolean(operand)
        if not isinstance(found.value, bool) and not may_be_null:
            refuse(found, "a condition is a comparison, true or false")
        return found.value is True if as_is else found.value is not True
    if isinstance(found.node, Call) and (plain := question_of(found.node)):
        return Clause(*plain, not as_is)
    return Clause(found.of, is_true(found), not as_is)


def _membership(node: Membership) -> Clause | bool:
    subject = known(node.operand)
    if isinstance(subject, Literal):
        refuse(subject, "a constant cannot stand here; name a field")
    literals = [_constant(value) for value in node.values]
    return Clause(subject.of, looked_up(subject, node.operator, literals), False)


def _constant(operand: Operand) -> Literal:
    found = known(operand)
    if isinstance(found, Subject):
        refuse(operand, f"{found.said} is a field, and only constants can be listed here")
    return found


def _comparison(node: Comparison) -> Clause | bool:
    comparator, left, right = node.operator, known(node.left), known(node.right)
    if isinstance(left, Literal):
        if isinstance(right, Literal):
            return _constants(left, comparator, right)
        left, right = right, left
        comparator = _SWAPPED.get(comparator, comparator)
    if isinstance(right, Subject):
        refuse(right.node, "two fields cannot be compared with each other; compare with a constant")
    if comparator in _SWAPPED:
        return Clause(left.of, ordered(left, comparator, right), False)
    equal = comparator is Comparator.EQUAL
    if right.value is None:
        # A field is null when there is nothing to ask; a function may be null for one value of many.
        if isinstance(left.of, Computed):
            return Clause(left.of, IsNull(), not equal)
        return Clause(left.of, Exists(), equal)
    if isinstance(left.node, Call) and gives_boolean(left.node) and isinstance(right.value, bool):
        return _truth(left.node, as_is=right.value is equal)
    return Clause(left.of, one_of(left, (right,)), not equal)


def _constants(left: Literal, comparator: Comparator, right: Literal) -> bool:
    """Two constants compared; null equals null and nothing else."""
    first, second = left.value, right.value
    if comparator in ORDERS:
        if first is None or second is None:
            return False
        if isinstance(first, bool) or isinstance(second, bool):
            refuse(right, f"'{comparator}' orders numbers and texts")
        if isinstance(first, str) is not isinstance(second, str):
            refuse(right, "a text and a number cannot be compared")
        return bool(ORDERS[comparator](first, second))
    same = first == second and isinstance(first, bool) is isinstance(second, bool)
    return same is (comparator is Comparator.EQUAL)


def fields_of(query: Query) -> Sequence[str]:
    """Every field that `query` reads, `event.category` included, each once."""
    asked = [category_clause(query), *map(clause, leaves(query.condition))]
    found = (one.fields for one in asked if isinstance(one, Clause))
    return list(dict.fromkeys(name for names in found for name in names))
