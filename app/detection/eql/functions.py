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

from app.detection.eql.coercion import Scalar, ascii_lower

NullableScalar: TypeAlias = Scalar | None
Implementation: TypeAlias = Callable[..., NullableScalar]

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")
_FLOAT = re.compile(
    r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,3})?"
)
_MAX_NUMBER = 10**308
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class ArgumentType(StrEnum):
    """What an argument must be, and what a function gives. The values are words for a complaint."""

    TEXT = "a text"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    ADDRESS = "an IP address"
    ANY = "a value"
    PATTERN = "a pattern in double quotes"
    CIDR_BLOCK = "a CIDR block in double quotes"


CONSTANT_ONLY_TYPES = frozenset({ArgumentType.PATTERN, ArgumentType.CIDR_BLOCK})
"""Kinds of which a query must give the value itself, so that it can be read once, at load."""


@dataclass(frozen=True, slots=True)
class Function:
    """`takes` names the kind of each argument; the last `optional` may be left out.

    `repeats` allows more arguments of the last kind. `apply_any_case` is the form with `~`, None
    where there is none. `apply` is None for the functions that ask a question of their first
    argument: `wildcard`, `match` and `cidrMatch`.
    """

    name: str
    parameters: tuple[ArgumentType, ...]
    returns: ArgumentType
    apply: Implementation | None
    apply_ignoring_case: Implementation | None = None
    optional_count: int = 0
    is_variadic: bool = False

    def parameter_type(self, number: int) -> ArgumentType:
        """What argument `number`, counted from 0, must be."""
        return self.parameters[min(number, len(self.parameters) - 1)]

    @property
    def has_ignore_case_form(self) -> bool:
        return self.apply_ignoring_case is not None or ArgumentType.PATTERN in self.parameters

    @property
    def count_text(self) -> str:
        """How many arguments it takes, in words."""
        least, most = len(self.parameters) - self.optional_count, len(self.parameters)
        told = (
            f"at least {least}"
            if self.is_variadic
            else str(most)
            if least == most
            else f"{least} or {most}"
        )
        return f"{told} argument{'' if told.endswith('1') else 's'}"

    def accepts_count(self, arguments: int) -> bool:
        least = len(self.parameters) - self.optional_count
        return least <= arguments and (self.is_variadic or arguments <= len(self.parameters))


def _length(text: str | None) -> NullableScalar:
    return None if text is None else len(text)


def _starts_with(text: str | None, start: str | None) -> NullableScalar:
    return None if text is None or start is None else text.startswith(start)


def _ends_with(text: str | None, end: str | None) -> NullableScalar:
    return None if text is None or end is None else text.endswith(end)


def _string_contains(text: str | None, part: str | None) -> NullableScalar:
    """False for an empty part, as the function reference has it."""
    return None if text is None or part is None else part != "" and part in text


def _index_of(text: str | None, part: str | None, start: NullableScalar = 0) -> NullableScalar:
    if text is None or part is None or start is None:
        return None
    found = text.find(part, max(0, int(start)))
    return None if found < 0 else found


def _substring(
    text: str | None, start: NullableScalar, end: NullableScalar = None
) -> NullableScalar:
    if text is None or start is None:
        return text
    return text[int(start) : None if end is None else int(end)]


def _between(
    text: str | None, left: str | None, right: str | None, greedy: NullableScalar = False
) -> NullableScalar:
    return _text_between(text, text, left, right, greedy)


def _between_ignoring_case(
    text: str | None, left: str | None, right: str | None, greedy: NullableScalar = False
) -> NullableScalar:
    return _text_between(text, _lowered(text), _lowered(left), _lowered(right), greedy)


def _text_between(
    text: str | None,
    searched: str | None,
    left: str | None,
    right: str | None,
    greedy: NullableScalar,
) -> NullableScalar:
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


def _concat(*values: NullableScalar) -> NullableScalar:
    texts = [_string(value) for value in values]
    return None if None in texts else "".join(str(text) for text in texts)


def _string(value: NullableScalar) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _number(text: str | None, base: NullableScalar = None) -> NullableScalar:
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
    if any(digit not in _DIGITS[:base] for digit in ascii_lower(digits)):
        return None
    return int(sign + digits, base)


def _add(left: NullableScalar, right: NullableScalar) -> NullableScalar:
    return (
        None
        if left is None or right is None
        else _null_if_too_large(_as_number(left) + _as_number(right))
    )


def _subtract(left: NullableScalar, right: NullableScalar) -> NullableScalar:
    return (
        None
        if left is None or right is None
        else _null_if_too_large(_as_number(left) - _as_number(right))
    )


def _multiply(left: NullableScalar, right: NullableScalar) -> NullableScalar:
    return (
        None
        if left is None or right is None
        else _null_if_too_large(_as_number(left) * _as_number(right))
    )


def _null_if_too_large(number: int | float) -> NullableScalar:
    """Null for a number that is infinite, or past what a double holds."""
    return number if abs(number) < _MAX_NUMBER else None


def _divide(left: NullableScalar, right: NullableScalar) -> NullableScalar:
    """Two whole numbers give a whole one, cut towards zero (EQL syntax reference, math operators)."""
    if left is None or right is None or right == 0:
        return None
    dividend, divisor = _as_number(left), _as_number(right)
    if isinstance(dividend, int) and isinstance(divisor, int):
        quotient = abs(dividend) // abs(divisor)
        return quotient if (dividend < 0) == (divisor < 0) else -quotient
    return dividend / divisor


def _modulo(left: NullableScalar, right: NullableScalar) -> NullableScalar:
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


def _lowered(value: NullableScalar) -> str | None:
    return None if value is None else ascii_lower(str(value))


def _ignoring_case(apply: Implementation) -> Implementation:
    def lowered(text: str | None, part: str | None, *others: NullableScalar) -> NullableScalar:
        return apply(_lowered(text), _lowered(part), *others)

    return lowered


_TEXT, _NUMBER_TYPE, _BOOLEAN = ArgumentType.TEXT, ArgumentType.NUMBER, ArgumentType.BOOLEAN
_TWO_NUMBERS = (_NUMBER_TYPE, _NUMBER_TYPE)

_FUNCTIONS = (
    Function("add", _TWO_NUMBERS, _NUMBER_TYPE, _add),
    Function("subtract", _TWO_NUMBERS, _NUMBER_TYPE, _subtract),
    Function("multiply", _TWO_NUMBERS, _NUMBER_TYPE, _multiply),
    Function("divide", _TWO_NUMBERS, _NUMBER_TYPE, _divide),
    Function("modulo", _TWO_NUMBERS, _NUMBER_TYPE, _modulo),
    Function("length", (_TEXT,), _NUMBER_TYPE, _length),
    Function("startsWith", (_TEXT, _TEXT), _BOOLEAN, _starts_with, _ignoring_case(_starts_with)),
    Function("endsWith", (_TEXT, _TEXT), _BOOLEAN, _ends_with, _ignoring_case(_ends_with)),
    Function(
        "stringContains",
        (_TEXT, _TEXT),
        _BOOLEAN,
        _string_contains,
        _ignoring_case(_string_contains),
    ),
    Function(
        "indexOf",
        (_TEXT, _TEXT, _NUMBER_TYPE),
        _NUMBER_TYPE,
        _index_of,
        _ignoring_case(_index_of),
        optional_count=1,
    ),
    Function("substring", (_TEXT, _NUMBER_TYPE, _NUMBER_TYPE), _TEXT, _substring, optional_count=1),
    Function(
        "between",
        (_TEXT, _TEXT, _TEXT, _BOOLEAN),
        _TEXT,
        _between,
        _between_ignoring_case,
        optional_count=1,
    ),
    Function("concat", (ArgumentType.ANY,), _TEXT, _concat, is_variadic=True),
    Function("string", (ArgumentType.ANY,), _TEXT, _string),
    Function("number", (_TEXT, _NUMBER_TYPE), _NUMBER_TYPE, _number, optional_count=1),
    Function(
        "cidrMatch",
        (ArgumentType.ADDRESS, ArgumentType.CIDR_BLOCK),
        _BOOLEAN,
        None,
        is_variadic=True,
    ),
    Function("wildcard", (_TEXT, ArgumentType.PATTERN), _BOOLEAN, None, is_variadic=True),
    Function("match", (_TEXT, ArgumentType.PATTERN), _BOOLEAN, None, is_variadic=True),
)

FUNCTIONS = {function.name.lower(): function for function in _FUNCTIONS}
"""By name in lower case: Elasticsearch reads function names in any case."""
