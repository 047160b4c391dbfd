"""What a question expects, in words that follow the name of what it is asked of."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from app.detection.eql.clauses import Clause
from app.detection.eql.questions import (
    AddressIn,
    BooleanIs,
    DateIs,
    DateOrder,
    Exists,
    IsNull,
    NumberIs,
    NumberOrder,
    Question,
    TextIs,
    TextLike,
    TextOrder,
    TextPart,
    TextRegex,
    Where,
)
from app.detection.eql.tree import Comparator

_ORDERS = {
    Comparator.LESS: "less than",
    Comparator.LESS_OR_EQUAL: "at most",
    Comparator.GREATER: "greater than",
    Comparator.GREATER_OR_EQUAL: "at least",
}
_PARTS = {Where.START: "starts with", Where.END: "ends with", Where.ANYWHERE: "contains"}


def expected(clause: Clause) -> str:
    """Such as `is one of “ssh”, “sshd”`, or `has no value that is “root”`."""
    question = clause.question
    if isinstance(question, Exists):
        return "has no value" if clause.negated else "has a value"
    if isinstance(question, IsNull):
        return "is never null" if clause.negated else "is null"
    said = _expects(question)
    return f"has no value that {said}" if clause.negated else said


def _expects(question: Question) -> str:
    match question:
        case TextIs(texts, any_case):
            return f"is {_one_of(map(_quoted, sorted(texts)))}{_case(any_case)}"
        case TextLike(patterns, any_case):
            return f"is like {_one_of(map(_quoted, patterns), 'any of')}{_case(any_case)}"
        case TextPart(where, part, any_case):
            return f"{_PARTS[where]} {_quoted(part)}{_case(any_case)}"
        case TextRegex(patterns, any_case):
            said = _one_of(map(_quoted, patterns), "any of")
            return f"matches the regular expression {said}{_case(any_case)}"
        case TextOrder(comparator, bound):
            return f"comes {'after' if '>' in comparator else 'before'} {_quoted(bound)}" + (
                " or is the same" if "=" in comparator else ""
            )
        case NumberIs(numbers):
            return f"is {_one_of(map(str, sorted(numbers)))}"
        case NumberOrder(comparator, bound):
            return f"is {_ORDERS[comparator]} {bound}"
        case BooleanIs(wanted):
            return f"is {_one_of('true' if flag else 'false' for flag in sorted(wanted))}"
        case DateIs(moments):
            return f"is {_one_of(map(_date, sorted(moments)))}"
        case DateOrder(comparator, moment):
            return f"is {'after' if '>' in comparator else 'before'} {_date(moment)}" + (
                " or then" if "=" in comparator else ""
            )
        case AddressIn(networks):
            return f"is in {_one_of(sorted(map(_network, networks)))}"
        case _:  # Exists and IsNull, which have words of their own
            return ""


def _quoted(text: str) -> str:
    return f"“{text}”"


def _case(any_case: bool) -> str:
    return " in any case" if any_case else ""


def _one_of(told: Iterable[str], words: str = "one of") -> str:
    found = list(told)
    return found[0] if len(found) == 1 else f"{words} {', '.join(found)}"


def _date(moment: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _network(network: object) -> str:
    return str(network).removesuffix("/32").removesuffix("/128")
