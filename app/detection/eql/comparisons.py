"""Translation of comparisons to predicates. A comparison has an operand and one or more constants.

The type of the operand decides the kind of the predicate. For example, `process.name == "ssh"` becomes a
`TextIn` predicate, and `process.pid == 1` becomes a `ValueIn` predicate.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from app.detection.eql.coercion import (
    Network,
    ValueType,
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
    Predicate,
    Range,
    TextIn,
    TextRegex,
    ValueIn,
    wildcard_predicate,
)
from app.detection.eql.syntax_tree import ComparisonOperator, Literal, LookupOperator
from app.detection.fields import FieldType
from app.domain.ecs_fields import Scalar

_FULL_DATE_TIME = re.compile(r"[0-9-]+T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_MIN_DATE, _MAX_DATE = -62_135_596_800_000, 253_402_300_799_999
"""The start of the year 1 and the end of the year 9999, in milliseconds since 1970."""
_IGNORE_CASE = {
    LookupOperator.COLON,
    LookupOperator.IN_IGNORE_CASE,
    LookupOperator.LIKE_IGNORE_CASE,
    LookupOperator.REGEX_IGNORE_CASE,
}


def is_true_predicate(operand: TypedOperand) -> Predicate:
    """Return the predicate of the condition `operand`. This condition means `operand == true`."""
    if comparable_type(operand) not in (FieldType.BOOLEAN, FieldType.DYNAMIC):
        refuse(operand.node, f"{operand.description} is not boolean; compare it with a value")
    return ValueIn(ValueType.BOOLEAN, frozenset((True,)))


def equality_predicate(operand: TypedOperand, literals: Sequence[Literal]) -> Predicate:
    """Return the predicate of `operand == literal` or `operand in (literals)`."""
    for literal in literals:
        _refuse_null(literal)
    field_type = comparable_type(operand)
    if field_type is FieldType.DYNAMIC:
        field_type = _common_type(literals)
    if field_type is FieldType.IP:
        return AddressIn(frozenset(_network(operand, literal) for literal in literals))
    if field_type in _CONVERSIONS:
        values = frozenset(_converted(operand, field_type, literal) for literal in literals)
        return ValueIn(_CONVERSIONS[field_type][0], values)
    texts = frozenset(as_text(literal.value) or "" for literal in literals)
    return TextIn(texts, ignore_case=False)


def lookup_predicate(
    operand: TypedOperand, operator: LookupOperator, literals: Sequence[Literal]
) -> Predicate:
    """Return the predicate of `operand operator literals`, such as `name in ("ssh", "sshd")`."""
    if operator is LookupOperator.IN:
        return equality_predicate(operand, literals)
    if comparable_type(operand) not in (FieldType.TEXT, FieldType.DYNAMIC):
        message = (
            f"'{operator}' compares strings, but {operand.description} is not a string;"
            " use '==' or 'in'"
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
    """Return the predicate of `operand < literal`, `<=`, `>` or `>=`."""
    field_type = comparable_type(operand)
    if field_type is FieldType.DYNAMIC:
        field_type = FieldType.TEXT if isinstance(literal.value, str) else FieldType.NUMBER
    if field_type is FieldType.TEXT:
        return Range(ValueType.TEXT, comparator, _text(literal, comparator))
    if field_type not in (FieldType.NUMBER, FieldType.DATE):
        message = (
            f"'{comparator}' compares numbers, dates and strings,"
            f" but {operand.description} has another type"
        )
        refuse(operand.node, message)
    bound = _converted(operand, field_type, literal)
    return Range(_CONVERSIONS[field_type][0], comparator, bound)


def _regex(literals: Sequence[Literal], texts: tuple[str, ...], ignore_case: bool) -> Predicate:
    for literal, text in zip(literals, texts, strict=True):
        check_regex(literal, text)
    try:
        compile_regexes(texts, ignore_case=ignore_case)
    except RegexError as error:  # each pattern is valid, but together they are too large
        refuse(literals[0], str(error))
    return TextRegex(texts, ignore_case)


def _refuse_null(literal: Literal) -> None:
    if literal.value is None:
        refuse(literal, "null can only be compared with '==' and '!='")


def _common_type(literals: Sequence[Literal]) -> FieldType:
    if all(isinstance(literal.value, bool) for literal in literals):
        return FieldType.BOOLEAN
    if all(isinstance(literal.value, int | float) for literal in literals):
        return FieldType.NUMBER
    return FieldType.TEXT


def _text(literal: Literal, operator: LookupOperator | ComparisonOperator) -> str:
    _refuse_null(literal)
    if not isinstance(literal.value, str):
        refuse(literal, f"'{operator}' needs a string in double quotes here")
    return literal.value


def _network(operand: TypedOperand, literal: Literal) -> Network:
    network = as_network(literal.value) if isinstance(literal.value, str) else None
    if network is None:
        reason = "is an IP address, but this value is neither an address nor a CIDR block"
        refuse(literal, f"{operand.description} {reason}")
    return network


def _converted(operand: TypedOperand, field_type: FieldType, literal: Literal) -> Scalar:
    _, convert, reason = _CONVERSIONS[field_type]
    _refuse_null(literal)
    value = convert(literal.value)
    if value is None:
        refuse(literal, f"{operand.description} {reason}")
    return value


def _finite_number(value: object) -> int | float | None:
    number = as_number(value)
    return None if number is None or not math.isfinite(number) else number


def _timestamp(value: object) -> int | None:
    is_complete = isinstance(value, str) and _FULL_DATE_TIME.match(value)
    timestamp = as_date(value) if is_complete else None
    return None if timestamp is None or not _MIN_DATE <= timestamp <= _MAX_DATE else timestamp


_Conversion: TypeAlias = tuple[ValueType, Callable[[object], Scalar | None], str]

_CONVERSIONS: dict[FieldType, _Conversion] = {
    FieldType.NUMBER: (
        ValueType.NUMBER,
        _finite_number,
        "is a number, but this value is not",
    ),
    FieldType.BOOLEAN: (
        ValueType.BOOLEAN,
        as_boolean,
        "is true or false, but this value is neither",
    ),
    FieldType.DATE: (
        ValueType.DATE,
        _timestamp,
        "is a date; write the full date and time, such as 2026-03-01T10:00:00Z",
    ),
}
"""By field type: (type of the values, function that converts a constant, error message). The message is used
if the function returns None."""
