"""EQL functions: parameters, result types and implementations.

The functions follow Elasticsearch's EQL function reference. Positions and lengths are in Unicode code points.

A result of None is EQL's null. For example, the result is null in these cases:

- The event does not have the field.
- A text is not a number, as in `number("abc")`.
- The divisor is zero.

Only the predicate `IsNull` holds for a null result. The module is long because of the table `_FUNCTIONS`.
"""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from app.detection.eql.coercion import NullableScalar, ascii_lower
from app.domain.ecs_fields import Scalar

Implementation: TypeAlias = Callable[..., NullableScalar]

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")
_FLOAT = re.compile(
    r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,3})?"
)
_MAX_NUMBER = 10**308
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class ArgumentType(StrEnum):
    """The type of a function's argument or result. Error messages contain the values of the members."""

    TEXT = "a string"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    ADDRESS = "an IP address"
    ANY = "a value"
    PATTERN = "a pattern in double quotes"
    CIDR_BLOCK = "a CIDR block in double quotes"


CONSTANT_ONLY_TYPES = frozenset({ArgumentType.PATTERN, ArgumentType.CIDR_BLOCK})
"""Types whose arguments must be constants in the query, because they are parsed when the rule is loaded."""


@dataclass(frozen=True, slots=True)
class Function:
    """Signature and implementation of an EQL function.

    - `optional_count`: the number of optional parameters. The optional parameters are the last parameters.
    - `is_variadic`: if true, a call can contain several arguments for the last parameter.
    - `apply`: the implementation of the function.
    - `apply_ignoring_case`: the implementation of the form with `~`, such as `startsWith~`. It is None if the
      function does not have this form.

    `apply` and `apply_ignoring_case` are None for `wildcard`, `match` and `cidrMatch`. A call of these
    functions is translated to a predicate of the first argument.
    """

    name: str
    parameters: tuple[ArgumentType, ...]
    returns: ArgumentType
    apply: Implementation | None
    apply_ignoring_case: Implementation | None = None
    optional_count: int = 0
    is_variadic: bool = False

    def parameter_type(self, number: int) -> ArgumentType:
        """Return the type of argument `number`, counted from 0."""
        return self.parameters[min(number, len(self.parameters) - 1)]

    @property
    def has_ignore_case_form(self) -> bool:
        return self.apply_ignoring_case is not None or ArgumentType.PATTERN in self.parameters

    @property
    def count_text(self) -> str:
        """The accepted number of arguments, for error messages."""
        minimum, maximum = self._min_count, len(self.parameters)
        if self.is_variadic:
            count = f"at least {minimum}"
        else:
            count = str(maximum) if minimum == maximum else f"{minimum} or {maximum}"
        return f"{count} argument{'' if count.endswith('1') else 's'}"

    def accepts_count(self, count: int) -> bool:
        return self._min_count <= count and (self.is_variadic or count <= len(self.parameters))

    @property
    def _min_count(self) -> int:
        return len(self.parameters) - self.optional_count


def _null_propagating(apply: Implementation) -> Implementation:
    """Return a function that returns null if any argument is null, and otherwise calls `apply`."""

    def apply_unless_null(*arguments: NullableScalar) -> NullableScalar:
        return None if None in arguments else apply(*arguments)

    return apply_unless_null


@_null_propagating
def _length(text: str) -> int:
    return len(text)


@_null_propagating
def _starts_with(text: str, start: str) -> bool:
    return text.startswith(start)


@_null_propagating
def _ends_with(text: str, end: str) -> bool:
    return text.endswith(end)


@_null_propagating
def _string_contains(text: str, part: str) -> bool:
    """Return whether `text` contains `part`. An empty `part` gives false, as in EQL's function reference."""
    return part != "" and part in text


@_null_propagating
def _index_of(text: str, part: str, start: Scalar = 0) -> int | None:
    index = text.find(part, max(0, int(start)))
    return None if index < 0 else index


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


@_null_propagating
def _concat(*values: Scalar) -> str:
    return "".join(map(_as_string, values))


def _as_string(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _number(text: str | None, base: NullableScalar = None) -> NullableScalar:
    """Return the number in `text`, or None if `text` is not a number.

    White space around the number is ignored. If `base` is None or 16, the prefix "0x" means base 16. For
    another `base`, the prefix "0x" has no special meaning.
    """
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


def _arithmetic(apply: Callable[[Any, Any], int | float]) -> Implementation:
    @_null_propagating
    def calculate(left: Scalar, right: Scalar) -> int | float | None:
        result = apply(_as_number(left), _as_number(right))
        # The result is null if it is infinite or too large for a double.
        return result if abs(result) < _MAX_NUMBER else None

    return calculate


@_null_propagating
def _divide(left: Scalar, right: Scalar) -> int | float | None:
    """Return the quotient. For two integers, it is truncated towards zero, as in EQL's syntax reference."""
    if right == 0:
        return None
    dividend, divisor = _as_number(left), _as_number(right)
    if isinstance(dividend, int) and isinstance(divisor, int):
        quotient = abs(dividend) // abs(divisor)
        return quotient if (dividend < 0) == (divisor < 0) else -quotient
    return dividend / divisor


@_null_propagating
def _modulo(left: Scalar, right: Scalar) -> int | float | None:
    """Return the remainder, which has the sign of the dividend."""
    if right == 0:
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
    Function("add", _TWO_NUMBERS, _NUMBER_TYPE, _arithmetic(operator.add)),
    Function("subtract", _TWO_NUMBERS, _NUMBER_TYPE, _arithmetic(operator.sub)),
    Function("multiply", _TWO_NUMBERS, _NUMBER_TYPE, _arithmetic(operator.mul)),
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
    Function("string", (ArgumentType.ANY,), _TEXT, _null_propagating(_as_string)),
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
"""Functions by name in lower case, because Elasticsearch ignores the case of function names."""
