"""What a question expects, in words that follow the name of what it is asked of."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from app.detection.eql.clauses import Clause
from app.detection.eql.predicates import (
    AddressIn,
    BooleanIn,
    DateIn,
    DateRange,
    Exists,
    IsNull,
    NumberIn,
    NumberRange,
    Predicate,
    SubstringPosition,
    TextIn,
    TextLike,
    TextRange,
    TextRegex,
    TextSubstring,
)
from app.detection.eql.syntax_tree import ComparisonOperator

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
    """Such as `is one of “ssh”, “sshd”`, or `has no value that is “root”`."""
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
        case TextRange(comparator, bound):
            return f"comes {'after' if '>' in comparator else 'before'} {_quoted(bound)}" + (
                " or is the same" if "=" in comparator else ""
            )
        case NumberIn(numbers):
            return f"is {_list_text(map(str, sorted(numbers)))}"
        case NumberRange(comparator, bound):
            return f"is {_ORDER_TEXTS[comparator]} {bound}"
        case BooleanIn(booleans):
            return f"is {_list_text('true' if flag else 'false' for flag in sorted(booleans))}"
        case DateIn(timestamps):
            return f"is {_list_text(map(_date_text, sorted(timestamps)))}"
        case DateRange(comparator, timestamp):
            return f"is {'after' if '>' in comparator else 'before'} {_date_text(timestamp)}" + (
                " or then" if "=" in comparator else ""
            )
        case AddressIn(networks):
            return f"is in {_list_text(sorted(map(_network_text, networks)))}"
        case _:  # Exists and IsNull, which have words of their own
            return ""


def _quoted(text: str) -> str:
    return f"“{text}”"


def _case_text(ignore_case: bool) -> str:
    return " in any case" if ignore_case else ""


def _list_text(texts: Iterable[str], prefix: str = "one of") -> str:
    found = list(texts)
    return found[0] if len(found) == 1 else f"{prefix} {', '.join(found)}"


def _date_text(timestamp: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _network_text(network: object) -> str:
    return str(network).removesuffix("/32").removesuffix("/128")
