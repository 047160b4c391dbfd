"""Descriptions of clauses in English, for explanations of a match."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from app.detection.eql.clauses import Clause
from app.detection.eql.coercion import ValueType
from app.detection.eql.predicates import (
    AddressIn,
    Exists,
    IsNull,
    Predicate,
    Range,
    SubstringPosition,
    TextIn,
    TextLike,
    TextRegex,
    TextSubstring,
    ValueIn,
)
from app.detection.eql.syntax_tree import ComparisonOperator
from app.domain.ecs_fields import Scalar

_ORDER_TEXTS = {
    ComparisonOperator.LESS: "less than",
    ComparisonOperator.LESS_OR_EQUAL: "at most",
    ComparisonOperator.GREATER: "greater than",
    ComparisonOperator.GREATER_OR_EQUAL: "at least",
}
_POSITION_TEXTS = {
    SubstringPosition.START: "starts with",
    SubstringPosition.END: "ends with",
    SubstringPosition.ANYWHERE: "contains",
}


def describe_expectation(clause: Clause) -> str:
    """Return the condition of `clause` as a phrase that follows the name of a field.

    For example `is one of “ssh”, “sshd”`, or `has no value that is “root”`.
    """
    predicate = clause.predicate
    if isinstance(predicate, Exists):
        return "has no value" if clause.negated else "has a value"
    if isinstance(predicate, IsNull):
        return "is never null" if clause.negated else "is null"
    text = _describe(predicate)
    return f"has no value that {text}" if clause.negated else text


def _describe(predicate: Predicate) -> str:
    match predicate:
        case TextIn(texts, ignore_case):
            return f"is {_list_text(map(_quoted, sorted(texts)))}{_case_text(ignore_case)}"
        case TextLike(patterns, ignore_case):
            return (
                f"is like {_list_text(map(_quoted, patterns), 'any of')}{_case_text(ignore_case)}"
            )
        case TextSubstring(position, substring, ignore_case):
            return f"{_POSITION_TEXTS[position]} {_quoted(substring)}{_case_text(ignore_case)}"
        case TextRegex(patterns, ignore_case):
            text = _list_text(map(_quoted, patterns), "any of")
            return f"matches the regular expression {text}{_case_text(ignore_case)}"
        case ValueIn(ValueType.DATE, timestamps):
            return f"is {_list_text(map(_date_text, sorted(map(int, timestamps))))}"
        case ValueIn(_, values):
            return f"is {_list_text(str(value).lower() for value in sorted(values, key=float))}"
        case Range(ValueType.NUMBER, comparator, bound):
            return f"is {_ORDER_TEXTS[comparator]} {bound}"
        case Range(value_type, comparator, bound):
            return _describe_order(value_type, comparator, bound)
        case AddressIn(networks):
            return f"is in {_list_text(sorted(map(_network_text, networks)))}"
        case _:  # describe_expectation handles Exists and IsNull
            return ""


def _describe_order(value_type: ValueType, comparator: ComparisonOperator, bound: Scalar) -> str:
    direction = "after" if ">" in comparator else "before"
    if value_type is ValueType.DATE:
        verb, bound_text, equal_text = "is", _date_text(int(bound)), " or then"
    else:
        verb, bound_text, equal_text = "comes", _quoted(str(bound)), " or is the same"
    return f"{verb} {direction} {bound_text}{equal_text if '=' in comparator else ''}"


def _quoted(text: str) -> str:
    return f"“{text}”"


def _case_text(ignore_case: bool) -> str:
    return " in any case" if ignore_case else ""


def _list_text(texts: Iterable[str], prefix: str = "one of") -> str:
    items = list(texts)
    return items[0] if len(items) == 1 else f"{prefix} {', '.join(items)}"


def _date_text(timestamp: int) -> str:
    date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp)
    return date.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _network_text(network: object) -> str:
    return str(network).removesuffix("/32").removesuffix("/128")
