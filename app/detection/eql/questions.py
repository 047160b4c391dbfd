"""Questions that a condition asks of a field's values; which field, and when, `clauses` says.

Each is a value: equal questions are the same question, so that generated code can ask once. Its
`test` is a function of one value, which `reader` (see `values`) puts to each value of a field.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from app.detection.eql.lucene import compile_for_lists, compile_regexes
from app.detection.eql.patterns import (
    containing,
    either,
    ending,
    folding,
    like_any,
    like_any_of_list,
    of_list,
    starting,
)
from app.detection.eql.tree import Comparator
from app.detection.eql.values import Fits, Network, Reader, as_address, fold, in_ipv6

ORDERS: dict[Comparator, Callable[[Any, Any], bool]] = {
    Comparator.LESS: operator.lt,
    Comparator.LESS_OR_EQUAL: operator.le,
    Comparator.GREATER: operator.gt,
    Comparator.GREATER_OR_EQUAL: operator.ge,
}


class Asked:
    """What all questions have: `test`, of one value, and the `reader` that puts it to a field's."""

    __slots__ = ()
    reader: ClassVar[Reader]

    def test(self) -> Fits:
        raise NotImplementedError

    def list_test(self) -> Callable[[Sequence[str]], bool]:
        """For a question about texts: the test of a list of them, whether any fits."""
        return of_list(self.test())


@dataclass(frozen=True, slots=True)
class Exists(Asked):
    """Is there any value?"""

    reader: ClassVar[Reader] = Reader.VALUE

    def test(self) -> Callable[[object], object]:
        return lambda _value: True


@dataclass(frozen=True, slots=True)
class TextIs(Asked):
    """Is a value one of these texts? Wildcards are literal."""

    texts: frozenset[str]
    any_case: bool
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        if self.any_case:
            return folding(frozenset(map(fold, self.texts)).__contains__)
        return self.texts.__contains__

    def list_test(self) -> Callable[[Sequence[str]], bool]:
        if self.any_case:
            return Asked.list_test(self)
        disjoint = self.texts.isdisjoint
        return lambda texts: not disjoint(texts)


@dataclass(frozen=True, slots=True)
class TextLike(Asked):
    """Is a value described by one of these wildcard patterns?"""

    patterns: tuple[str, ...]
    any_case: bool
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        return like_any(self.patterns, any_case=self.any_case)

    def list_test(self) -> Callable[[Sequence[str]], bool]:
        return like_any_of_list(self.patterns, any_case=self.any_case)


def text_like(texts: tuple[str, ...], *, any_case: bool) -> TextIs | TextLike:
    """Texts in which `*` and `?` are wildcards; without any, equality says the same for less."""
    if any("*" in text or "?" in text for text in texts):
        return TextLike(texts, any_case)
    return TextIs(frozenset(texts), any_case)


class Where(StrEnum):
    START = "startsWith"
    END = "endsWith"
    ANYWHERE = "stringContains"


_PARTS = {Where.START: starting, Where.END: ending, Where.ANYWHERE: containing}


@dataclass(frozen=True, slots=True)
class TextPart(Asked):
    """Does a value have `part` at its start, at its end, or anywhere?"""

    where: Where
    part: str
    any_case: bool
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        if self.where is Where.ANYWHERE and self.part == "":
            return lambda _text: False  # EQL function reference, stringContains: empty strings
        return _PARTS[self.where](self.part, any_case=self.any_case)


@dataclass(frozen=True, slots=True)
class TextRegex(Asked):
    """Is a value described, from its first character to its last, by one of these expressions?"""

    patterns: tuple[str, ...]
    any_case: bool
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        return compile_regexes(self.patterns, any_case=self.any_case)

    def list_test(self) -> Callable[[Sequence[str]], bool]:
        return compile_for_lists(self.patterns, any_case=self.any_case)


@dataclass(frozen=True, slots=True)
class TextOrder(Asked):
    """Does a value come before or after `bound`, by code point?"""

    comparator: Comparator
    bound: str
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        order, bound = ORDERS[self.comparator], self.bound
        return lambda text: order(text, bound)


@dataclass(frozen=True, slots=True)
class NumberIs(Asked):
    numbers: frozenset[int | float]
    reader: ClassVar[Reader] = Reader.NUMBER

    def test(self) -> Callable[[int | float], object]:
        return self.numbers.__contains__


@dataclass(frozen=True, slots=True)
class NumberOrder(Asked):
    comparator: Comparator
    bound: int | float
    reader: ClassVar[Reader] = Reader.NUMBER

    def test(self) -> Callable[[int | float], object]:
        order, bound = ORDERS[self.comparator], self.bound
        return lambda number: order(number, bound)


@dataclass(frozen=True, slots=True)
class BooleanIs(Asked):
    wanted: frozenset[bool]
    reader: ClassVar[Reader] = Reader.BOOLEAN

    def test(self) -> Callable[[bool], object]:
        return self.wanted.__contains__


@dataclass(frozen=True, slots=True)
class DateIs(Asked):
    """Is a value one of these moments, in milliseconds since 1970?"""

    moments: frozenset[int]
    reader: ClassVar[Reader] = Reader.DATE

    def test(self) -> Callable[[int], object]:
        return self.moments.__contains__


@dataclass(frozen=True, slots=True)
class DateOrder(Asked):
    comparator: Comparator
    bound: int
    reader: ClassVar[Reader] = Reader.DATE

    def test(self) -> Callable[[int], object]:
        order, bound = ORDERS[self.comparator], self.bound
        return lambda moment: order(moment, bound)


@dataclass(frozen=True, slots=True)
class AddressIn(Asked):
    """Is a value an IP address, however it is written, in one of these blocks?"""

    networks: frozenset[Network]
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        def test(text: str) -> bool:
            address = as_address(text)
            if address is None:
                return False
            # An index keeps IPv4 addresses inside IPv6, so that ::/0 has all of them.
            both = (address, in_ipv6(address)) if address.version == 4 else (address,)
            return any(one in network for network in self.networks for one in both)

        return test


@dataclass(frozen=True, slots=True)
class IsNull(Asked):
    """Is what a function makes of an event null? Of a field, `Exists` asks instead."""

    reader: ClassVar[Reader] = Reader.VALUE

    def test(self) -> Callable[[object], object]:
        return lambda value: value is None


Question: TypeAlias = (
    Exists
    | IsNull
    | TextIs
    | TextLike
    | TextPart
    | TextRegex
    | TextOrder
    | NumberIs
    | NumberOrder
    | BooleanIs
    | DateIs
    | DateOrder
    | AddressIn
)


def any_of(questions: Sequence[Question]) -> Fits:
    """Whether a text fits any of `questions`, all of texts, for less than asking one by one."""
    likes: dict[bool, list[str]] = {}
    others: list[Fits] = []
    for question in questions:
        if isinstance(question, TextLike):
            likes.setdefault(question.any_case, []).extend(question.patterns)
        else:
            others.append(question.test())
    together = [like_any(dict.fromkeys(found), any_case=case) for case, found in likes.items()]
    return either([*together, *others])
