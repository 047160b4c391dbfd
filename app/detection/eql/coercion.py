"""Conversion of field values to the type of the field, and functions that test all values of a field.

A field value is one of these:

- None: the field has no value.
- A scalar.
- A list or a tuple. Each item is None or a scalar.

All other types, such as objects, are ignored. `app.domain.ecs_fields.field_values` also ignores objects.

The tests and conversions follow Elasticsearch:

- A condition on a field holds if at least one value of the field fulfils the condition.
- A keyword field stores a number as text.
- A numeric field stores a numeric string as a number (mapping parameter `coerce`).
- A date is ISO 8601 text or milliseconds since 1970 (mapping parameter `format`).
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

from app.domain.ecs_fields import Scalar

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
NullableScalar: TypeAlias = Scalar | None
"""A scalar, or None for EQL's null."""

ValueMatcher: TypeAlias = Callable[[Any], object]
"""A function that tests one value. The `any_*` function that calls it converts the value first, for example
to a number in `any_number`."""

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
    """The type to which a field value is converted.

    The value of a member is the name of the function for this type. For example, `any_number` is the function
    for NUMBER.
    """

    ANY = "any_value"
    TEXT = "any_text"
    NUMBER = "any_number"
    BOOLEAN = "any_boolean"
    DATE = "any_date"


def any_value(field_value: object, matches: ValueMatcher) -> bool:
    """Return whether `matches` holds for any scalar in `field_value`.

    The result is false for an empty list and for `[null]`, as in Elasticsearch's exists query.
    """
    return any(
        isinstance(value, str | int | float) and matches(value)
        for value in as_sequence(field_value)
    )


def any_text(field_value: object, matches: ValueMatcher) -> bool:
    if field_value is None:
        return False
    # A loop is faster than any(), and this function runs for many events.
    for value in as_sequence(field_value):
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
    """Return `value` as a keyword field would index it, or None if `value` is not a scalar.

    Floats are converted by Python's `str`.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return None


def as_number(value: object) -> int | float | None:
    """Return `value` as a numeric field would index it, or None if the field would reject `value`."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _NUMBER_TEXT.fullmatch(value):
        number = int(value) if value.lstrip("+-").isdigit() else float(value)
        return number if abs(number) != math.inf else None
    return None


def as_boolean(value: object) -> bool | None:
    """Return `value` as a boolean field would index it, or None if the field would reject `value`."""
    if isinstance(value, bool):
        return value
    return _BOOLEAN_TEXTS.get(value) if isinstance(value, str) else None


def as_date(value: object) -> int | None:
    """Return `value` as a date field would index it, or None if the field would reject `value`.

    The result is in milliseconds since 1970. A date without a time zone is in UTC.
    """
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
    except ValueError:  # the date is invalid, for example because of month 13 or hour 25
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1) + int(f"{fraction or ''}000"[:3])


def as_address(text: str) -> Address | None:
    """Return `text` as an ip field would index it, or None if the field would reject `text`.

    An IPv4-mapped IPv6 address becomes an IPv4 address.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def to_ipv4_mapped(address: IPv4Address) -> IPv6Address:
    """Return the IPv4-mapped IPv6 address of `address` (RFC 4291, section 2.5.5.2)."""
    return IPv6Address(bytes(10) + b"\xff\xff" + address.packed)


def as_network(text: str) -> Network | None:
    """Return the network that `text` describes, or None if `text` is invalid.

    `text` is an IP address or a CIDR block, such as `10.0.0.0/8`. Address bits after the prefix are ignored,
    so `10.1.2.3/8` means `10.0.0.0/8`. An Elasticsearch term query on an ip field reads a text in the same
    way.
    """
    address, slash, length = text.partition("/")
    parsed = as_address(address)
    if parsed is None or (slash and not re.fullmatch("[0-9]{1,3}", length)):
        return None
    bits = int(length) if slash else parsed.max_prefixlen
    if slash and ":" in address and parsed.version == 4:
        bits -= 96  # the prefix ::ffff:0:0/96 has 96 bits
    if not 0 <= bits <= parsed.max_prefixlen:
        return None
    return ip_network((parsed.packed, bits), strict=False)


def ascii_lower(text: str) -> str:
    """Return `text` with ASCII letters in lower case, like Elasticsearch's `case_insensitive`."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)
