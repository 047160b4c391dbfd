"""Which question a comparison with constants asks, by the type of what is compared."""

import math
import re
from collections.abc import Sequence

from app.detection.eql.lucene import RegexError, compile_regexes
from app.detection.eql.questions import (
    AddressIn,
    BooleanIs,
    DateIs,
    DateOrder,
    NumberIs,
    NumberOrder,
    Question,
    TextIs,
    TextOrder,
    TextRegex,
    text_like,
)
from app.detection.eql.subjects import Subject, check_regex, comparable, refuse
from app.detection.eql.tree import Comparator, Literal, Lookup
from app.detection.eql.values import (
    Network,
    as_boolean,
    as_date,
    as_network,
    as_number,
    as_text,
)
from app.detection.fields import FieldType

_IN_FULL = re.compile(r"[0-9-]+T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999, in milliseconds since 1970."""
_ANY_CASE = {
    Lookup.MATCHES,
    Lookup.IN_ANY_CASE,
    Lookup.LIKE_ANY_CASE,
    Lookup.REGEX_ANY_CASE,
}


def is_true(subject: Subject) -> Question:
    """What a field or function asks that stands alone."""
    if comparable(subject) not in (FieldType.BOOLEAN, FieldType.OPEN):
        refuse(subject.node, f"{subject.said} is not true or false, so it needs a comparison")
    return BooleanIs(frozenset((True,)))


def one_of(subject: Subject, literals: Sequence[Literal]) -> Question:
    """What `==` and `in` ask."""
    for literal in literals:
        _refuse_null(literal)
    kind = comparable(subject)
    if kind is FieldType.OPEN:
        kind = _kind_of(literals)
    match kind:
        case FieldType.NUMBER:
            return NumberIs(frozenset(_number(subject, literal) for literal in literals))
        case FieldType.BOOLEAN:
            return BooleanIs(frozenset(_boolean(subject, literal) for literal in literals))
        case FieldType.ADDRESS:
            return AddressIn(frozenset(_network(subject, literal) for literal in literals))
        case FieldType.DATE:
            return DateIs(frozenset(_date(subject, literal) for literal in literals))
        case _:
            texts = frozenset(as_text(literal.value) or "" for literal in literals)
            return TextIs(texts, any_case=False)


def looked_up(subject: Subject, lookup: Lookup, literals: Sequence[Literal]) -> Question:
    """What `:`, `in`, `like`, `regex` and their forms with `~` ask."""
    if lookup is Lookup.IN:
        return one_of(subject, literals)
    if comparable(subject) not in (FieldType.TEXT, FieldType.OPEN):
        said = f"'{lookup}' compares texts, and {subject.said} is none; use '==' or 'in'"
        refuse(subject.node, said)
    texts = tuple(_text(literal, lookup) for literal in literals)
    any_case = lookup in _ANY_CASE
    if lookup is Lookup.IN_ANY_CASE:
        return TextIs(frozenset(texts), any_case)
    if lookup in (Lookup.REGEX, Lookup.REGEX_ANY_CASE):
        return _regex(literals, texts, any_case)
    return text_like(texts, any_case=any_case)


def ordered(subject: Subject, comparator: Comparator, literal: Literal) -> Question:
    """What `<`, `<=`, `>` and `>=` ask, `subject` being on the left."""
    kind = comparable(subject)
    if kind is FieldType.DATE:
        return DateOrder(comparator, _date(subject, literal))
    if kind is FieldType.NUMBER or (kind is FieldType.OPEN and not isinstance(literal.value, str)):
        return NumberOrder(comparator, _number(subject, literal))
    if kind not in (FieldType.TEXT, FieldType.OPEN):
        said = (
            f"'{comparator}' orders numbers, dates and texts, and {subject.said} is none of these"
        )
        refuse(subject.node, said)
    return TextOrder(comparator, _text(literal, comparator))


def _regex(literals: Sequence[Literal], texts: tuple[str, ...], any_case: bool) -> Question:
    for literal, text in zip(literals, texts, strict=True):
        check_regex(literal, text)
    try:
        compile_regexes(texts, any_case=any_case)
    except RegexError as error:  # each is fine, all together are too large
        refuse(literals[0], str(error))
    return TextRegex(texts, any_case)


def _refuse_null(literal: Literal) -> None:
    if literal.value is None:
        refuse(literal, "null goes with '==' and '!=' only")


def _kind_of(literals: Sequence[Literal]) -> FieldType:
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


def _number(subject: Subject, literal: Literal) -> int | float:
    _refuse_null(literal)
    number = as_number(literal.value)
    if number is None or not math.isfinite(number):
        refuse(literal, f"{subject.said} is a number, and this is none")
    return number


def _boolean(subject: Subject, literal: Literal) -> bool:
    flag = as_boolean(literal.value)
    if flag is None:
        refuse(literal, f"{subject.said} is true or false, and this is neither")
    return flag


def _network(subject: Subject, literal: Literal) -> Network:
    network = as_network(literal.value) if isinstance(literal.value, str) else None
    if network is None:
        refuse(
            literal, f"{subject.said} is an IP address, and this is neither one nor a CIDR block"
        )
    return network


def _date(subject: Subject, literal: Literal) -> int:
    value = literal.value
    moment = as_date(value) if isinstance(value, str) and _IN_FULL.match(value) else None
    if moment is None or not _FIRST <= moment <= _LAST:
        said = f"{subject.said} is a date; write day and time in full, such as 2026-03-01T10:00:00Z"
        refuse(literal, said)
    return moment
