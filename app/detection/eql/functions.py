"""The functions of EQL: what they take and give, and what they compute from the values of one event.

Their meaning is that of Elasticsearch's EQL function reference. What an argument lacks (a missing
field, a text that is no number, a division by zero) makes the result None, EQL's null, of which
nothing holds. Positions and lengths count code points.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from app.detection.eql.values import Scalar, fold

Value: TypeAlias = Scalar | None
Apply: TypeAlias = Callable[..., Value]

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")
_FLOAT = re.compile(
    r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,3})?"
)
_LARGEST = 10**308
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Kind(StrEnum):
    """What an argument must be, and what a function gives. The values are words for a complaint."""

    TEXT = "a text"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    ADDRESS = "an IP address"
    ANY = "a value"
    PATTERN = "a pattern in double quotes"
    BLOCK = "a CIDR block in double quotes"


CONSTANTS = frozenset({Kind.PATTERN, Kind.BLOCK})
"""Kinds of which a query must give the value itself, so that it can be read once, at load."""


@dataclass(frozen=True, slots=True)
class Function:
    """`takes` names the kind of each argument; the last `optional` may be left out.

    `repeats` allows more arguments of the last kind. `apply_any_case` is the form with `~`, None
    where there is none. `apply` is None for the functions that ask a question of their first
    argument: `wildcard`, `match` and `cidrMatch`.
    """

    name: str
    takes: tuple[Kind, ...]
    gives: Kind
    apply: Apply | None
    apply_any_case: Apply | None = None
    optional: int = 0
    repeats: bool = False

    def kind(self, number: int) -> Kind:
        """What argument `number`, counted from 0, must be."""
        return self.takes[min(number, len(self.takes) - 1)]

    @property
    def has_any_case(self) -> bool:
        return self.apply_any_case is not None or Kind.PATTERN in self.takes

    @property
    def counts(self) -> str:
        """How many arguments it takes, in words."""
        least, most = len(self.takes) - self.optional, len(self.takes)
        told = (
            f"at least {least}"
            if self.repeats
            else str(most)
            if least == most
            else f"{least} or {most}"
        )
        return f"{told} argument{'' if told.endswith('1') else 's'}"

    def accepts(self, arguments: int) -> bool:
        least = len(self.takes) - self.optional
        return least <= arguments and (self.repeats or arguments <= len(self.takes))


def _length(text: str | None) -> Value:
    return None if text is None else len(text)


def _starts_with(text: str | None, start: str | None) -> Value:
    return None if text is None or start is None else text.startswith(start)


def _ends_with(text: str | None, end: str | None) -> Value:
    return None if text is None or end is None else text.endswith(end)


def _string_contains(text: str | None, part: str | None) -> Value:
    """False for an empty part, as the function reference has it."""
    return None if text is None or part is None else part != "" and part in text


def _index_of(text: str | None, part: str | None, start: Value = 0) -> Value:
    if text is None or part is None or start is None:
        return None
    found = text.find(part, max(0, int(start)))
    return None if found < 0 else found


def _substring(text: str | None, start: Value, end: Value = None) -> Value:
    if text is None or start is None:
        return text
    return text[int(start) : None if end is None else int(end)]


def _between(text: str | None, left: str | None, right: str | None, greedy: Value = False) -> Value:
    return _cut_between(text, text, left, right, greedy)


def _between_any_case(
    text: str | None, left: str | None, right: str | None, greedy: Value = False
) -> Value:
    return _cut_between(text, _folded(text), _folded(left), _folded(right), greedy)


def _cut_between(
    text: str | None, searched: str | None, left: str | None, right: str | None, greedy: Value
) -> Value:
    if text is None or searched is None or left is None or right is None:
        return None
    if not text or not left or not right:
        return text
    start = searched.find(left)
    if start < 0:
        return ""
    start += len(left)
    end = searched.rfind(right, start) if greedy else searched.find(right, start)
    return text[start:end] if end >= 0 else ""


def _concat(*values: Value) -> Value:
    texts = [_string(value) for value in values]
    return None if None in texts else "".join(str(text) for text in texts)


def _string(value: Value) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _number(text: str | None, base: Value = None) -> Value:
    """Surrounding white space is ignored; "0x" means base 16 unless another is given."""
    if text is None:
        return None
    text = text.strip()
    sign, digits = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    if digits[:2] == "0x" and base in (None, 16):
        base, digits = 16, digits[2:]
    if base in (None, 10):
        if _INTEGER.fullmatch(text):
            return int(text)
        number = float(text) if _FLOAT.fullmatch(text) else math.inf
        return number if math.isfinite(number) else None
    if not isinstance(base, int) or not 2 <= base <= 36 or not 0 < len(digits) <= 300:
        return None
    if any(digit not in _DIGITS[:base] for digit in fold(digits)):
        return None
    return int(sign + digits, base)


def _add(left: Value, right: Value) -> Value:
    return None if left is None or right is None else _bounded(_as_number(left) + _as_number(right))


def _subtract(left: Value, right: Value) -> Value:
    return None if left is None or right is None else _bounded(_as_number(left) - _as_number(right))


def _multiply(left: Value, right: Value) -> Value:
    return None if left is None or right is None else _bounded(_as_number(left) * _as_number(right))


def _bounded(number: int | float) -> Value:
    """Null for a number that is infinite, or past what a double holds."""
    return number if abs(number) < _LARGEST else None


def _divide(left: Value, right: Value) -> Value:
    """Two whole numbers give a whole one, cut towards zero (EQL syntax reference, math operators)."""
    if left is None or right is None or right == 0:
        return None
    dividend, divisor = _as_number(left), _as_number(right)
    if isinstance(dividend, int) and isinstance(divisor, int):
        quotient = abs(dividend) // abs(divisor)
        return quotient if (dividend < 0) == (divisor < 0) else -quotient
    return dividend / divisor


def _modulo(left: Value, right: Value) -> Value:
    """The sign is the dividend's."""
    if left is None or right is None or right == 0:
        return None
    dividend, divisor = _as_number(left), _as_number(right)
    if isinstance(dividend, int) and isinstance(divisor, int):
        remainder = abs(dividend) % abs(divisor)
        return remainder if dividend >= 0 else -remainder
    return math.fmod(dividend, divisor)


def _as_number(value: Scalar) -> int | float:
    if isinstance(value, str):
        raise ValueError(value)
    return value


def _folded(value: Value) -> str | None:
    return None if value is None else fold(str(value))


def _in_any_case(apply: Apply) -> Apply:
    def folded(text: str | None, part: str | None, *others: Value) -> Value:
        return apply(_folded(text), _folded(part), *others)

    return folded


_TEXT, _NUMBER_KIND, _BOOLEAN = Kind.TEXT, Kind.NUMBER, Kind.BOOLEAN
_TWO_NUMBERS = (_NUMBER_KIND, _NUMBER_KIND)

_ALL = (
    Function("add", _TWO_NUMBERS, _NUMBER_KIND, _add),
    Function("subtract", _TWO_NUMBERS, _NUMBER_KIND, _subtract),
    Function("multiply", _TWO_NUMBERS, _NUMBER_KIND, _multiply),
    Function("divide", _TWO_NUMBERS, _NUMBER_KIND, _divide),
    Function("modulo", _TWO_NUMBERS, _NUMBER_KIND, _modulo),
    Function("length", (_TEXT,), _NUMBER_KIND, _length),
    Function("startsWith", (_TEXT, _TEXT), _BOOLEAN, _starts_with, _in_any_case(_starts_with)),
    Function("endsWith", (_TEXT, _TEXT), _BOOLEAN, _ends_with, _in_any_case(_ends_with)),
    Function(
        "stringContains", (_TEXT, _TEXT), _BOOLEAN, _string_contains, _in_any_case(_string_contains)
    ),
    Function(
        "indexOf",
        (_TEXT, _TEXT, _NUMBER_KIND),
        _NUMBER_KIND,
        _index_of,
        _in_any_case(_index_of),
        optional=1,
    ),
    Function("substring", (_TEXT, _NUMBER_KIND, _NUMBER_KIND), _TEXT, _substring, optional=1),
    Function(
        "between",
        (_TEXT, _TEXT, _TEXT, _BOOLEAN),
        _TEXT,
        _between,
        _between_any_case,
        optional=1,
    ),
    Function("concat", (Kind.ANY,), _TEXT, _concat, repeats=True),
    Function("string", (Kind.ANY,), _TEXT, _string),
    Function("number", (_TEXT, _NUMBER_KIND), _NUMBER_KIND, _number, optional=1),
    Function("cidrMatch", (Kind.ADDRESS, Kind.BLOCK), _BOOLEAN, None, repeats=True),
    Function("wildcard", (_TEXT, Kind.PATTERN), _BOOLEAN, None, repeats=True),
    Function("match", (_TEXT, Kind.PATTERN), _BOOLEAN, None, repeats=True),
)

FUNCTIONS = {function.name.lower(): function for function in _ALL}
"""By name in lower case: Elasticsearch reads function names in any case."""
