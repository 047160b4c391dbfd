"""Which question a comparison with constants asks, by the type of what is compared."""

import math
import re
from collections.abc import Sequence

from app.detection.eql.coercion import (
    Network,
    as_boolean,
    as_date,
    as_network,
    as_number,
    as_text,
)
from app.detection.eql.lucene_regex import RegexError, compile_regexes
from app.detection.eql.operands import TypedOperand, check_regex, comparable_type, refuse
from app.detection.eql.predicates import (
    AddressIn,
    BooleanIn,
    DateIn,
    DateRange,
    NumberIn,
    NumberRange,
    Predicate,
    TextIn,
    TextRange,
    TextRegex,
    wildcard_predicate,
)
from app.detection.eql.syntax_tree import ComparisonOperator, Literal, LookupOperator
from app.detection.fields import FieldType

_FULL_DATE_TIME = re.compile(r"[0-9-]+T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_MIN_DATE, _MAX_DATE = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999, in milliseconds since 1970."""
_IGNORE_CASE = {
    LookupOperator.COLON,
    LookupOperator.IN_IGNORE_CASE,
    LookupOperator.LIKE_IGNORE_CASE,
    LookupOperator.REGEX_IGNORE_CASE,
}


def is_true_predicate(operand: TypedOperand) -> Predicate:
    """What a field or function asks that stands alone."""
    if comparable_type(operand) not in (FieldType.BOOLEAN, FieldType.DYNAMIC):
        refuse(
            operand.node, f"{operand.description} is not true or false, so it needs a comparison"
        )
    return BooleanIn(frozenset((True,)))


def equality_predicate(operand: TypedOperand, literals: Sequence[Literal]) -> Predicate:
    """What `==` and `in` ask."""
    for literal in literals:
        _refuse_null(literal)
    field_type = comparable_type(operand)
    if field_type is FieldType.DYNAMIC:
        field_type = _common_type(literals)
    match field_type:
        case FieldType.NUMBER:
            return NumberIn(frozenset(_number(operand, literal) for literal in literals))
        case FieldType.BOOLEAN:
            return BooleanIn(frozenset(_boolean(operand, literal) for literal in literals))
        case FieldType.IP:
            return AddressIn(frozenset(_network(operand, literal) for literal in literals))
        case FieldType.DATE:
            return DateIn(frozenset(_date(operand, literal) for literal in literals))
        case _:
            texts = frozenset(as_text(literal.value) or "" for literal in literals)
            return TextIn(texts, ignore_case=False)


def lookup_predicate(
    operand: TypedOperand, operator: LookupOperator, literals: Sequence[Literal]
) -> Predicate:
    """What `:`, `in`, `like`, `regex` and their forms with `~` ask."""
    if operator is LookupOperator.IN:
        return equality_predicate(operand, literals)
    if comparable_type(operand) not in (FieldType.TEXT, FieldType.DYNAMIC):
        message = (
            f"'{operator}' compares texts, and {operand.description} is none; use '==' or 'in'"
        )
        refuse(operand.node, message)
    texts = tuple(_text(literal, operator) for literal in literals)
    ignore_case = operator in _IGNORE_CASE
    if operator is LookupOperator.IN_IGNORE_CASE:
        return TextIn(frozenset(texts), ignore_case)
    if operator in (LookupOperator.REGEX, LookupOperator.REGEX_IGNORE_CASE):
        return _regex(literals, texts, ignore_case)
    return wildcard_predicate(texts, ignore_case=ignore_case)


def range_predicate(
    operand: TypedOperand, comparator: ComparisonOperator, literal: Literal
) -> Predicate:
    """What `<`, `<=`, `>` and `>=` ask, `subject` being on the left."""
    field_type = comparable_type(operand)
    if field_type is FieldType.DATE:
        return DateRange(comparator, _date(operand, literal))
    if field_type is FieldType.NUMBER or (
        field_type is FieldType.DYNAMIC and not isinstance(literal.value, str)
    ):
        return NumberRange(comparator, _number(operand, literal))
    if field_type not in (FieldType.TEXT, FieldType.DYNAMIC):
        message = f"'{comparator}' orders numbers, dates and texts, and {operand.description} is none of these"
        refuse(operand.node, message)
    return TextRange(comparator, _text(literal, comparator))


def _regex(literals: Sequence[Literal], texts: tuple[str, ...], ignore_case: bool) -> Predicate:
    for literal, text in zip(literals, texts, strict=True):
        check_regex(literal, text)
    try:
        compile_regexes(texts, ignore_case=ignore_case)
    except RegexError as error:  # each is fine, all together are too large
        refuse(literals[0], str(error))
    return TextRegex(texts, ignore_case)


def _refuse_null(literal: Literal) -> None:
    if literal.value is None:
        refuse(literal, "null goes with '==' and '!=' only")


def _common_type(literals: Sequence[Literal]) -> FieldType:
    if all(isinstance(literal.value, bool) for literal in literals):
        return FieldType.BOOLEAN
    if all(isinstance(literal.value, int | float) for literal in literals):
        return FieldType.NUMBER
    return FieldType.TEXT


def _text(literal: Literal, what: str) -> str:
    _refuse_null(literal)
    if not isinstance(literal.value, str):
        refuse(literal, f"'{what}' needs a text in double quotes here")
    return literal.value


def _number(operand: TypedOperand, literal: Literal) -> int | float:
    _refuse_null(literal)
    number = as_number(literal.value)
    if number is None or not math.isfinite(number):
        refuse(literal, f"{operand.description} is a number, and this is none")
    return number


def _boolean(operand: TypedOperand, literal: Literal) -> bool:
    flag = as_boolean(literal.value)
    if flag is None:
        refuse(literal, f"{operand.description} is true or false, and this is neither")
    return flag


def _network(operand: TypedOperand, literal: Literal) -> Network:
    network = as_network(literal.value) if isinstance(literal.value, str) else None
    if network is None:
        refuse(
            literal,
            f"{operand.description} is an IP address, and this is neither one nor a CIDR block",
        )
    return network


def _date(operand: TypedOperand, literal: Literal) -> int:
    value = literal.value
    moment = as_date(value) if isinstance(value, str) and _FULL_DATE_TIME.match(value) else None
    if moment is None or not _MIN_DATE <= moment <= _MAX_DATE:
        message = f"{operand.description} is a date; write day and time in full, such as 2026-03-01T10:00:00Z"
        refuse(literal, message)
    return moment
