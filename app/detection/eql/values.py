"""What an event has in a field, read by the field's type, and put to a test value by value.

What an event has in a field, as the generated code hands it over, is None for nothing, a scalar, or
a list of scalars and None. Anything else (an object that stands where a scalar was expected) counts
as nothing, as it does in `app.domain.ecs.values`.

The rules are Elasticsearch's, whose index knows neither order nor any type but the field's: a
condition holds if any value fits; a number sent for a keyword is its text; a text sent for a number
is read as one (mapping parameter `coerce`).
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Fits: TypeAlias = Callable[[Any], object]
"""A test of one value; what it is given depends on the reader."""

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,4})?"
)
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_BOOLEANS = {"true": True, "false": False, "": False}


class Reader(StrEnum):
    """The functions of this module that put a test to a field, by name."""

    VALUE = "any_value"
    TEXT = "any_text"
    NUMBER = "any_number"
    BOOLEAN = "any_boolean"


def any_value(found: object, fits: Fits) -> bool:
    """An empty list and `[null]` are no value, as Elasticsearch's exists query has it."""
    return any(isinstance(value, str | int | float) and fits(value) for value in _each(found))


def any_text(found: object, fits: Fits) -> bool:
    for value in _each(found):  # a loop, not any(): this runs for each event with a list
        text = as_text(value)
        if text is not None and fits(text):
            return True
    return False


def any_number(found: object, fits: Fits) -> bool:
    return any((number := as_number(value)) is not None and fits(number) for value in _each(found))


def any_boolean(found: object, fits: Fits) -> bool:
    return any((flag := as_boolean(value)) is not None and fits(flag) for value in _each(found))


READERS: dict[Reader, Callable[[object, Fits], bool]] = {
    Reader.VALUE: any_value,
    Reader.TEXT: any_text,
    Reader.NUMBER: any_number,
    Reader.BOOLEAN: any_boolean,
}


def _each(found: object) -> Sequence[object]:
    return found if isinstance(found, list) else (found,)


def as_text(value: object) -> str | None:
    """`value` as a keyword field would index it. A float is written as Python writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return None


def as_number(value: object) -> int | float | None:
    """`value` as a numeric field would index it; None for what it would refuse."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value) if value.lstrip("+-").isdigit() else float(value)
    return None


def as_boolean(value: object) -> bool | None:
    """`value` as a boolean field would index it; None for what it would refuse."""
    if isinstance(value, bool):
        return value
    return _BOOLEANS.get(value) if isinstance(value, str) else None


def as_address(text: str) -> Address | None:
    """`text` as an ip field would index it: an IPv4 address in IPv6 clothes is the IPv4 one."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def fold(text: str) -> str:
    """`text` with its ASCII letters lowered: Elasticsearch's `case_insensitive` folds no others."""
    return text.lower() if text.isascii() else text.translate(_LOWER)
