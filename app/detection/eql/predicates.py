"""Questions that a condition asks of a field's values; which field, and when, `clauses` says.

Each is a value: equal questions are the same question, so that generated code can ask once. Its
`test` is a function of one value, which `reader` (see `values`) puts to each value of a field.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from app.detection.eql.coercion import (
    Network,
    ValueMatcher,
    ValueType,
    as_address,
    ascii_lower,
    to_ipv4_mapped,
)
from app.detection.eql.lucene_regex import compile_regexes, compile_regexes_for_list
from app.detection.eql.syntax_tree import ComparisonOperator
from app.detection.eql.text_matchers import (
    any_in_list,
    any_matcher,
    compile_contains,
    compile_ends_with,
    compile_like_any,
    compile_like_any_for_list,
    compile_starts_with,
    on_ascii_lower,
)

ORDERING_FUNCTIONS: dict[ComparisonOperator, Callable[[Any, Any], bool]] = {
    ComparisonOperator.LESS: operator.lt,
    ComparisonOperator.LESS_OR_EQUAL: operator.le,
    ComparisonOperator.GREATER: operator.gt,
    ComparisonOperator.GREATER_OR_EQUAL: operator.ge,
}


class BasePredicate:
    """What all questions have: `test`, of one value, and the `reader` that puts it to a field's."""

    __slots__ = ()
    value_type: ClassVar[ValueType]

    def compile(self) -> ValueMatcher:
        raise NotImplementedError

    def compile_for_list(self) -> Callable[[Sequence[str]], bool]:
        """For a question about texts: the test of a list of them, whether any fits."""
        return any_in_list(self.compile())


@dataclass(frozen=True, slots=True)
class Exists(BasePredicate):
    """Is there any value?"""

    value_type: ClassVar[ValueType] = ValueType.ANY

    def compile(self) -> Callable[[object], object]:
        return lambda _value: True


@dataclass(frozen=True, slots=True)
class TextIn(BasePredicate):
    """Is a value one of these texts? Wildcards are literal."""

    texts: frozenset[str]
    ignore_case: bool
    value_type: ClassVar[ValueType] = ValueType.TEXT

    def compile(self) -> Callable[[str], object]:
        if self.ignore_case:
            return on_ascii_lower(frozenset(map(ascii_lower, self.texts)).__contains__)
        return self.texts.__contains__

    def compile_for_list(self) -> Callable[[Sequence[str]], bool]:
        if self.ignore_case:
            return BasePredicate.compile_for_list(self)
        disjoint = self.texts.isdisjoint
        return lambda texts: not disjoint(texts)


@dataclass(frozen=True, slots=True)
class TextLike(BasePredicate):
    """Is a value described by one of these wildcard patterns?"""

    patterns: tuple[str, ...]
    ignore_case: bool
    value_type: ClassVar[ValueType] = ValueType.TEXT

    def compile(self) -> Callable[[str], object]:
        return compile_like_any(self.patterns, ignore_case=self.ignore_case)

    def compile_for_list(self) -> Callable[[Sequence[str]], bool]:
        return compile_like_any_for_list(self.patterns, ignore_case=self.ignore_case)


def wildcard_predicate(texts: tuple[str, ...], *, ignore_case: bool) -> TextIn | TextLike:
    """Texts in which `*` and `?` are wildcards; without any, equality says the same for less."""
    if any("*" in text or "?" in text for text in texts):
        return TextLike(texts, ignore_case)
    return TextIn(frozenset(texts), ignore_case)


class SubstringPosition(StrEnum):
    START = "startsWith"
    END = "endsWith"
    ANYWHERE = "stringContains"


_SUBSTRING_MATCHERS = {
    SubstringPosition.START: compile_starts_with,
    SubstringPosition.END: compile_ends_with,
    SubstringPosition.ANYWHERE: compile_contains,
}


@dataclass(frozen=True, slots=True)
class TextSubstring(BasePredicate):
    """Does a value have `part` at its start, at its end, or anywhere?"""

    position: SubstringPosition
    substring: str
    ignore_case: bool
    value_type: ClassVar[ValueType] = ValueType.TEXT

    def compile(self) -> Callable[[str], object]:
        if self.position is SubstringPosition.ANYWHERE and self.substring == "":
            return lambda _text: False  # EQL function reference, stringContains: empty strings
        return _SUBSTRING_MATCHERS[self.position](self.substring, ignore_case=self.ignore_case)


@dataclass(frozen=True, slots=True)
class TextRegex(BasePredicate):
    """Is a value described, from its first character to its last, by one of these expressions?"""

    patterns: tuple[str, ...]
    ignore_case: bool
    value_type: ClassVar[ValueType] = ValueType.TEXT

    def compile(self) -> Callable[[str], object]:
        return compile_regexes(self.patterns, ignore_case=self.ignore_case)

    def compile_for_list(self) -> Callable[[Sequence[str]], bool]:
        return compile_regexes_for_list(self.patterns, ignore_case=self.ignore_case)


@dataclass(frozen=True, slots=True)
class TextRange(BasePredicate):
    """Does a value come before or after `bound`, by code point?"""

    comparator: ComparisonOperator
    bound: str
    value_type: ClassVar[ValueType] = ValueType.TEXT

    def compile(self) -> Callable[[str], object]:
        order, bound = ORDERING_FUNCTIONS[self.comparator], self.bound
        return lambda text: order(text, bound)


@dataclass(frozen=True, slots=True)
class NumberIn(BasePredicate):
    numbers: frozenset[int | float]
    value_type: ClassVar[ValueType] = ValueType.NUMBER

    def compile(self) -> Callable[[int | float], object]:
        return self.numbers.__contains__


@dataclass(frozen=True, slots=True)
class NumberRange(BasePredicate):
    comparator: ComparisonOperator
    bound: int | float
    value_type: ClassVar[ValueType] = ValueType.NUMBER

    def compile(self) -> Callable[[int | float], object]:
        order, bound = ORDERING_FUNCTIONS[self.comparator], self.bound
        return lambda number: order(number, bound)


@dataclass(frozen=True, slots=True)
class BooleanIn(BasePredicate):
    booleans: frozenset[bool]
    value_type: ClassVar[ValueType] = ValueType.BOOLEAN

    def compile(self) -> Callable[[bool], object]:
        return self.booleans.__contains__


@dataclass(frozen=True, slots=True)
class DateIn(BasePredicate):
    """Is a value one of these moments, in milliseconds since 1970?"""

    timestamps: frozenset[int]
    value_type: ClassVar[ValueType] = ValueType.DATE

    def compile(self) -> Callable[[int], object]:
        return self.timestamps.__contains__


@dataclass(frozen=True, slots=True)
class DateRange(BasePredicate):
    comparator: ComparisonOperator
    bound: int
    value_type: ClassVar[ValueType] = ValueType.DATE

    def compile(self) -> Callable[[int], object]:
        order, bound = ORDERING_FUNCTIONS[self.comparator], self.bound
        return lambda moment: order(moment, bound)


@dataclass(frozen=True, slots=True)
class AddressIn(BasePredicate):
    """Is a value an IP address, however it is written, in one of these blocks?"""

    networks: frozenset[Network]
    value_type: ClassVar[ValueType] = ValueType.TEXT

    def compile(self) -> Callable[[str], object]:
        def test(text: str) -> bool:
            address = as_address(text)
            if address is None:
                return False
            # An index keeps IPv4 addresses inside IPv6, so that ::/0 has all of them.
            both = (address, to_ipv4_mapped(address)) if address.version == 4 else (address,)
            return any(one in network for network in self.networks for one in both)

        return test


@dataclass(frozen=True, slots=True)
class IsNull(BasePredicate):
    """Is what a function makes of an event null? Of a field, `Exists` asks instead."""

    value_type: ClassVar[ValueType] = ValueType.ANY

    def compile(self) -> Callable[[object], object]:
        return lambda value: value is None


Predicate: TypeAlias = (
    Exists
    | IsNull
    | TextIn
    | TextLike
    | TextSubstring
    | TextRegex
    | TextRange
    | NumberIn
    | NumberRange
    | BooleanIn
    | DateIn
    | DateRange
    | AddressIn
)


def compile_any(predicates: Sequence[Predicate]) -> ValueMatcher:
    """Whether a text fits any of `questions`, all of texts, for less than asking one by one."""
    likes: dict[bool, list[str]] = {}
    others: list[ValueMatcher] = []
    for predicate in predicates:
        if isinstance(predicate, TextLike):
            likes.setdefault(predicate.ignore_case, []).extend(predicate.patterns)
        else:
            others.append(predicate.compile())
    together = [
        compile_like_any(dict.fromkeys(found), ignore_case=case) for case, found in likes.items()
    ]
    return any_matcher([*together, *others])
