"""What an event has in a field, read by the field's type, and put to a test value by value.

What an event has in a field, as the generated code hands it over, is None for nothing, a scalar, or
a list or tuple of scalars and None. Anything else (an object that stands where a scalar was expected) counts
as nothing, as it does in `app.domain.ecs_fields.values`.

The rules are Elasticsearch's, whose index knows neither order nor any type but the field's: a
condition holds if any value fits; a number sent for a keyword is its text; a text sent for a number
is read as one (mapping parameter `coerce`); a date is ISO 8601 text or milliseconds since 1970
(mapping parameter `format`).
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Scalar: TypeAlias = str | int | float | bool
ValueMatcher: TypeAlias = Callable[[Any], object]
"""A test of one value; what it is given depends on the reader."""

_NUMBER_TEXT = re.compile(
    r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,4})?"
)
_DATE_TEXT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,]([0-9]{1,9}))?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_BOOLEAN_TEXTS = {"true": True, "false": False, "": False}


class ValueType(StrEnum):
    """The functions of this module that put a test to a field, by name."""

    ANY = "any_value"
    TEXT = "any_text"
    NUMBER = "any_number"
    BOOLEAN = "any_boolean"
    DATE = "any_date"


def any_value(field_value: object, matches: ValueMatcher) -> bool:
    """An empty list and `[null]` are no value, as Elasticsearch's exists query has it."""
    return any(
        isinstance(value, str | int | float) and matches(value)
        for value in as_sequence(field_value)
    )


def any_text(field_value: object, matches: ValueMatcher) -> bool:
    if field_value is None:
        return False
    for value in as_sequence(
        field_value
    ):  # a loop, not any(): this runs for each event with a list
        text = value if type(value) is str else as_text(value)
        if text is not None and matches(text):
            return True
    return False


def any_number(field_value: object, matches: ValueMatcher) -> bool:
    return any(
        (number := as_number(value)) is not None and matches(number)
        for value in as_sequence(field_value)
    )


def any_boolean(field_value: object, matches: ValueMatcher) -> bool:
    return any(
        (flag := as_boolean(value)) is not None and matches(flag)
        for value in as_sequence(field_value)
    )


def any_date(field_value: object, matches: ValueMatcher) -> bool:
    return any(
        (date := as_date(value)) is not None and matches(date) for value in as_sequence(field_value)
    )


ANY_VALUE_TESTS: dict[ValueType, Callable[[object, ValueMatcher], bool]] = {
    ValueType.ANY: any_value,
    ValueType.TEXT: any_text,
    ValueType.NUMBER: any_number,
    ValueType.BOOLEAN: any_boolean,
    ValueType.DATE: any_date,
}


def as_sequence(field_value: object) -> Sequence[object]:
    return field_value if isinstance(field_value, list | tuple) else (field_value,)


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
    if isinstance(value, str) and _NUMBER_TEXT.fullmatch(value):
        number = int(value) if value.lstrip("+-").isdigit() else float(value)
        return number if abs(number) != math.inf else None
    return None


def as_boolean(value: object) -> bool | None:
    """`value` as a boolean field would index it; None for what it would refuse."""
    if isinstance(value, bool):
        return value
    return _BOOLEAN_TEXTS.get(value) if isinstance(value, str) else None


def as_date(value: object) -> int | None:
    """`value` as a date field would index it: milliseconds since 1970, without a zone in UTC."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        return None
    if value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    parts = _DATE_TEXT.fullmatch(value)
    if parts is None:
        return None
    day, time, fraction, zone = parts.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time or '00:00'}{zone or 'Z'}")
    except ValueError:  # a 13th month, a 25th hour
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1) + int(f"{fraction or ''}000"[:3])


def as_address(text: str) -> Address | None:
    """`text` as an ip field would index it: an IPv4 address in IPv6 clothes is the IPv4 one."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def to_ipv4_mapped(address: IPv4Address) -> IPv6Address:
    """The IPv6 address that stands for an IPv4 one (RFC 4291, section 2.5.5.2)."""
    return IPv6Address(bytes(10) + b"\xff\xff" + address.packed)


def as_network(text: str) -> Network | None:
    """`text` as a term query on an ip field reads it: an address, or a block in CIDR notation.

    Bits of the address below the length of the prefix do not count.
    """
    address, slash, length = text.partition("/")
    parsed = as_address(address)
    if parsed is None or (slash and not re.fullmatch("[0-9]{1,3}", length)):
        return None
    bits = int(length) if slash else parsed.max_prefixlen
    if slash and ":" in address and parsed.version == 4:
        bits -= 96  # ::ffff:0:0/96 is where IPv6 keeps the addresses of IPv4
    if not 0 <= bits <= parsed.max_prefixlen:
        return None
    return ip_network((parsed.packed, bits), strict=False)


def ascii_lower(text: str) -> str:
    """`text` with its ASCII letters lowered: Elasticsearch's `case_insensitive` folds no others."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)
