"""Questions that a condition asks of a field's values; which field, and when, `clauses` says.

Each is a value: equal questions are the same question, so that generated code can ask once. Its
`test` is a function of one value, which `reader` (see `values`) puts to each value of a field.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from app.detection.eql.tree import Comparator
from app.detection.eql.values import Address, Reader, as_address, fold
from app.domain.wildcard import compile_wildcards

ORDERS: dict[Comparator, Callable[[Any, Any], bool]] = {
    Comparator.LESS: operator.lt,
    Comparator.LESS_OR_EQUAL: operator.le,
    Comparator.GREATER: operator.gt,
    Comparator.GREATER_OR_EQUAL: operator.ge,
}


@dataclass(frozen=True, slots=True)
class Exists:
    """Is there any value?"""

    reader: ClassVar[Reader] = Reader.VALUE

    def test(self) -> Callable[[object], object]:
        return lambda _value: True


@dataclass(frozen=True, slots=True)
class TextIs:
    """Is a value one of these texts? Wildcards are literal."""

    texts: frozenset[str]
    any_case: bool
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        if self.any_case:
            folded = frozenset(map(fold, self.texts))
            return lambda text: fold(text) in folded
        return self.texts.__contains__


@dataclass(frozen=True, slots=True)
class TextLike:
    """Is a value described by one of these wildcard patterns?"""

    patterns: tuple[str, ...]
    any_case: bool
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        return compile_wildcards(self.patterns, ignore_case=self.any_case).match


@dataclass(frozen=True, slots=True)
class TextOrder:
    """Does a value come before or after `bound`, by code point?"""

    comparator: Comparator
    bound: str
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        order, bound = ORDERS[self.comparator], self.bound
        return lambda text: order(text, bound)


@dataclass(frozen=True, slots=True)
class NumberIs:
    numbers: frozenset[int | float]
    reader: ClassVar[Reader] = Reader.NUMBER

    def test(self) -> Callable[[int | float], object]:
        return self.numbers.__contains__


@dataclass(frozen=True, slots=True)
class NumberOrder:
    comparator: Comparator
    bound: int | float
    reader: ClassVar[Reader] = Reader.NUMBER

    def test(self) -> Callable[[int | float], object]:
        order, bound = ORDERS[self.comparator], self.bound
        return lambda number: order(number, bound)


@dataclass(frozen=True, slots=True)
class BooleanIs:
    wanted: frozenset[bool]
    reader: ClassVar[Reader] = Reader.BOOLEAN

    def test(self) -> Callable[[bool], object]:
        return self.wanted.__contains__


@dataclass(frozen=True, slots=True)
class AddressIs:
    """Is a value one of these IP addresses, however it is written?"""

    addresses: frozenset[Address]
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        return lambda text: as_address(text) in self.addresses


Question: TypeAlias = (
    Exists | TextIs | TextLike | TextOrder | NumberIs | NumberOrder | BooleanIs | AddressIs
)
