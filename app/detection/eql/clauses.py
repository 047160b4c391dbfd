"""The comparisons of a query tree as questions about one field, and every complaint on the way.

The meaning is Elasticsearch's, which turns a single-event query into its query DSL
(elastic/elasticsearch, x-pack/plugin/eql, `QueryTranslator` and `querytranslator_tests.txt`):

- `==`, `in`: a term query. Exact and case-sensitive; `*` is a character like any other.
- `:` and `like~`: term or wildcard query with `case_insensitive`. `like`: the same without it.
  `in~`: term query with `case_insensitive`; `*` is literal there too.
- `!=` and `not`: `must_not` around the positive query. They hold for an event without the field,
  and fail as soon as one value fits; `not f > 1` is not `f <= 1`.
- `< <= > >=`: a range query, false for an event without the field.
- `== null`, `!= null`: `must_not` around an exists query, and an exists query.
- A boolean field standing alone means `== true`.

Types are those of ECS. Elasticsearch takes `?field` for null where the index does not know the
field. Here there is no index, so it is a field like any other that an event may have or not.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from app.detection.eql.errors import EqlError
from app.detection.eql.questions import (
    AddressIs,
    BooleanIs,
    Exists,
    NumberIs,
    NumberOrder,
    Question,
    TextIs,
    TextLike,
    TextOrder,
)
from app.detection.eql.tree import (
    And,
    Comparator,
    Comparison,
    Expression,
    Field,
    Literal,
    Lookup,
    Membership,
    Not,
    Or,
    Query,
    Truth,
)
from app.detection.eql.values import Address, as_address, as_boolean, as_number, as_text
from app.detection.fields import FieldType, field_type, nearest_field

DEEPEST_NAME = 20

_SWAPPED = {
    Comparator.LESS: Comparator.GREATER,
    Comparator.LESS_OR_EQUAL: Comparator.GREATER_OR_EQUAL,
    Comparator.GREATER: Comparator.LESS,
    Comparator.GREATER_OR_EQUAL: Comparator.LESS_OR_EQUAL,
}
_ANY_CASE = {Lookup.MATCHES, Lookup.IN_ANY_CASE, Lookup.LIKE_ANY_CASE}
_NO_COMPARISON = {
    FieldType.DATE: "is a date; comparing dates is not supported yet",
    FieldType.PLACE: "is a place on the globe, which EQL cannot compare",
    FieldType.OBJECT: "is an object; compare one of the fields below it",
}


@dataclass(frozen=True, slots=True)
class Clause:
    """`question` about `field`, true if any of its values fits; `negated` if none may."""

    field: str
    question: Question
    negated: bool


def category_clause(query: Query) -> Clause | None:
    """What `process where` asks: that `event.category` has `process`. None for `any where`."""
    if query.category is None:
        return None
    return Clause("event.category", TextIs(frozenset((query.category,)), any_case=False), False)


def clause(node: Comparison | Membership | Truth) -> Clause | bool:
    """What `node` asks, or its answer if that is the same for every event (`where true`).

    Raises EqlError for an unknown field and for a constant that the field's type cannot equal.
    """
    if isinstance(node, Truth):
        if isinstance(node.operand, Literal):
            return _constant(node.operand)
        return Clause(node.operand.name, _is_true(node.operand), False)
    if isinstance(node, Membership):
        if isinstance(node.operand, Literal):
            _refuse(node.operand, "a constant cannot stand here; name a field")
        return Clause(node.operand.name, _lookup(node.operand, node.operator, node.values), False)
    return _comparison(node)


def complaints(query: Query) -> Iterator[EqlError]:
    """Everything wrong with the meaning of `query`, in no particular order."""
    pending: list[Expression] = [query.condition]
    while pending:
        node = pending.pop()
        if isinstance(node, Not):
            pending.append(node.operand)
        elif isinstance(node, And | Or):
            pending.extend(node.operands)
        else:
            try:
                clause(node)
            except EqlError as error:
                yield error


def _refuse(at: Field | Literal, message: str) -> NoReturn:
    raise EqlError.at(at.span, message)


def _constant(literal: Literal) -> bool:
    if not isinstance(literal.value, bool):
        _refuse(literal, "a condition is a comparison, true or false")
    return literal.value


def _comparison(node: Comparison) -> Clause:
    comparator = node.operator
    if isinstance(node.left, Field) and isinstance(node.right, Literal):
        field, literal = node.left, node.right
    elif isinstance(node.left, Literal) and isinstance(node.right, Field):
        field, literal = node.right, node.left
        comparator = _SWAPPED.get(comparator, comparator)
    else:
        _refuse(node.right, "a comparison needs a field on one side and a constant on the other")
    if comparator in _SWAPPED:
        return Clause(field.name, _ordered(field, comparator, literal), False)
    negated = comparator is Comparator.NOT_EQUAL
    if literal.value is None:
        _known(field)
        return Clause(field.name, Exists(), not negated)
    return Clause(field.name, _one_of(field, (literal,)), negated)


def _known(field: Field) -> FieldType:
    if field.name.count(".") >= DEEPEST_NAME:
        _refuse(field, f"field names of more than {DEEPEST_NAME} parts are not supported")
    if bad := next((c for c in field.name if c in '"\\' or ord(c) < 32), None):
        _refuse(field, f"field names with {bad!r} are not supported")
    found = field_type(field.name)
    if found is None and not field.optional:
        near = nearest_field(field.name)
        hint = f"did you mean '{near}'?" if near else f"if agents do send it, write '?{field.name}'"
        _refuse(field, f"unknown field '{field.name}'; {hint}")
    return found or FieldType.OPEN


def _comparable(field: Field) -> FieldType:
    found = _known(field)
    if found in _NO_COMPARISON:
        _refuse(field, f"'{field.name}' {_NO_COMPARISON[found]}")
    return found


def _is_true(field: Field) -> Question:
    if _comparable(field) not in (FieldType.BOOLEAN, FieldType.OPEN):
        _refuse(field, f"'{field.name}' is not a boolean field, so it needs a comparison")
    return BooleanIs(frozenset((True,)))


def _one_of(field: Field, literals: Sequence[Literal]) -> Question:
    for literal in literals:
        if literal.value is None:
            _refuse(literal, "null goes with '==' and '!=' only")
    kind = _comparable(field)
    if kind is FieldType.OPEN:
        kind = _kind_of(literals)
    if kind is FieldType.NUMBER:
        return NumberIs(frozenset(_number(field, literal) for literal in literals))
    if kind is FieldType.BOOLEAN:
        return BooleanIs(frozenset(_boolean(field, literal) for literal in literals))
    if kind is FieldType.ADDRESS:
        return AddressIs(frozenset(_address(field, literal) for literal in literals))
    return TextIs(frozenset(as_text(literal.value) or "" for literal in literals), any_case=False)


def _kind_of(literals: Sequence[Literal]) -> FieldType:
    if all(isinstance(literal.value, bool) for literal in literals):
        return FieldType.BOOLEAN
    if all(isinstance(literal.value, int | float) for literal in literals):
        return FieldType.NUMBER
    return FieldType.TEXT


def _lookup(field: Field, lookup: Lookup, literals: Sequence[Literal]) -> Question:
    if lookup is Lookup.IN:
        return _one_of(field, literals)
    if _comparable(field) not in (FieldType.TEXT, FieldType.OPEN):
        _refuse(field, f"'{lookup}' compares texts, and '{field.name}' is none; use '==' or 'in'")
    texts = tuple(_text(literal, lookup) for literal in literals)
    any_case = lookup in _ANY_CASE
    if lookup is not Lookup.IN_ANY_CASE and any("*" in text or "?" in text for text in texts):
        return TextLike(texts, any_case)
    return TextIs(frozenset(texts), any_case)


def _ordered(field: Field, comparator: Comparator, literal: Literal) -> Question:
    kind = _comparable(field)
    if kind is FieldType.NUMBER or (kind is FieldType.OPEN and not isinstance(literal.value, str)):
        return NumberOrder(comparator, _number(field, literal))
    if kind not in (FieldType.TEXT, FieldType.OPEN):
        _refuse(field, f"'{comparator}' orders numbers and texts, and '{field.name}' is neither")
    return TextOrder(comparator, _text(literal, comparator))


def _text(literal: Literal, what: str) -> str:
    if not isinstance(literal.value, str):
        _refuse(literal, f"'{what}' needs a text in double quotes here")
    return literal.value


def _number(field: Field, literal: Literal) -> int | float:
    number = as_number(literal.value)
    if number is None or not math.isfinite(number):
        _refuse(literal, f"'{field.name}' holds numbers, and this is none")
    return number


def _boolean(field: Field, literal: Literal) -> bool:
    flag = as_boolean(literal.value)
    if flag is None:
        _refuse(literal, f"'{field.name}' is true or false, and this is neither")
    return flag


def _address(field: Field, literal: Literal) -> Address:
    address = as_address(literal.value) if isinstance(literal.value, str) else None
    if address is None:
        _refuse(literal, f"'{field.name}' holds IP addresses, and this is none")
    return address
