"""Predicates: tests of one value. The module `clauses` combines a predicate with a field.

Predicates with the same attributes are equal. Equal predicates are the same test, so generated code can share
the compiled test.
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
    compile_like_any,
    compile_like_any_for_list,
    contains_any,
    ends_with_any,
    on_ascii_lower,
    starts_with_any,
)
from app.domain.ecs_fields import Scalar

ORDERING_FUNCTIONS: dict[ComparisonOperator, Callable[[Any, Any], bool]] = {
    ComparisonOperator.LESS: operator.lt,
    ComparisonOperator.LESS_OR_EQUAL: operator.le,
    ComparisonOperator.GREATER: operator.gt,
    ComparisonOperator.GREATER_OR_EQUAL: operator.ge,
}


class BasePredicate:
    """Base class of predicates. A value is converted to the type `value_type` before the test."""

    __slots__ = ()

    def compile(self) -> ValueMatcher:
        """Return a function that tests one value."""
        raise NotImplementedError

    def compile_for_list(self) -> Callable[[Sequence[str]], bool]:
        """Return a function that tests whether any text of a list matches (text predicates only)."""
        return any_in_list(self.compile())


class TextPredicate(BasePredicate):
    """Base class of the predicates that test only text."""

    __slots__ = ()
    value_type: ClassVar[ValueType] = ValueType.TEXT


@dataclass(frozen=True, slots=True)
class Exists(BasePredicate):
    """The field has a value."""

    value_type: ClassVar[ValueType] = ValueType.ANY

    def compile(self) -> Callable[[object], object]:
        return lambda _value: True


@dataclass(frozen=True, slots=True)
class TextIn(TextPredicate):
    """The value is one of `texts`. `*` and `?` are literal."""

    texts: frozenset[str]
    ignore_case: bool

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
class TextLike(TextPredicate):
    """The value matches one of the wildcard `patterns`."""

    patterns: tuple[str, ...]
    ignore_case: bool

    def compile(self) -> Callable[[str], object]:
        return compile_like_any(self.patterns, ignore_case=self.ignore_case)

    def compile_for_list(self) -> Callable[[Sequence[str]], bool]:
        return compile_like_any_for_list(self.patterns, ignore_case=self.ignore_case)


def wildcard_predicate(texts: tuple[str, ...], *, ignore_case: bool) -> TextIn | TextLike:
    """Return a `TextLike` for `texts`, or a `TextIn` if no text contains the wildcards `*` or `?`."""
    if any("*" in text or "?" in text for text in texts):
        return TextLike(texts, ignore_case)
    return TextIn(frozenset(texts), ignore_case)


class SubstringPosition(StrEnum):
    START = "startsWith"
    END = "endsWith"
    ANYWHERE = "stringContains"


_SUBSTRING_MATCHERS: dict[SubstringPosition, Callable[[Sequence[str]], ValueMatcher]] = {
    SubstringPosition.START: starts_with_any,
    SubstringPosition.END: ends_with_any,
    SubstringPosition.ANYWHERE: contains_any,
}


@dataclass(frozen=True, slots=True)
class TextSubstring(TextPredicate):
    """The value has `substring` at `position`."""

    position: SubstringPosition
    substring: str
    ignore_case: bool

    def compile(self) -> Callable[[str], object]:
        if self.position is SubstringPosition.ANYWHERE and self.substring == "":
            return lambda _text: False  # EQL's function stringContains is false for ""
        build_matcher = _SUBSTRING_MATCHERS[self.position]
        if self.ignore_case:
            return on_ascii_lower(build_matcher([ascii_lower(self.substring)]))
        return build_matcher([self.substring])


@dataclass(frozen=True, slots=True)
class TextRegex(TextPredicate):
    """The complete value matches one of the Lucene regular expressions `patterns`."""

    patterns: tuple[str, ...]
    ignore_case: bool

    def compile(self) -> Callable[[str], object]:
        return compile_regexes(self.patterns, ignore_case=self.ignore_case)

    def compile_for_list(self) -> Callable[[Sequence[str]], bool]:
        return compile_regexes_for_list(self.patterns, ignore_case=self.ignore_case)


@dataclass(frozen=True, slots=True)
class ValueIn(BasePredicate):
    """The value is one of `values`: numbers, booleans, or dates in milliseconds since 1970."""

    value_type: ValueType
    values: frozenset[Scalar]

    def compile(self) -> Callable[[Scalar], object]:
        return self.values.__contains__


@dataclass(frozen=True, slots=True)
class Range(BasePredicate):
    """`value comparator bound` is true, for example `value < bound`. Texts are compared by code point."""

    value_type: ValueType
    comparator: ComparisonOperator
    bound: Scalar

    def compile(self) -> Callable[[Any], object]:
        order, bound = ORDERING_FUNCTIONS[self.comparator], self.bound
        return lambda value: order(value, bound)


@dataclass(frozen=True, slots=True)
class AddressIn(TextPredicate):
    """The value is an IP address in any notation, and one of `networks` contains the address."""

    networks: frozenset[Network]

    def compile(self) -> Callable[[str], object]:
        def test(text: str) -> bool:
            address = as_address(text)
            if address is None:
                return False
            # Elasticsearch stores an IPv4 address as IPv6, so the network ::/0 contains it.
            forms = (address, to_ipv4_mapped(address)) if address.version == 4 else (address,)
            return any(form in network for network in self.networks for form in forms)

        return test


@dataclass(frozen=True, slots=True)
class IsNull(BasePredicate):
    """The result of a function is null.

    This predicate is not used for a field. A field is null if the predicate `Exists` does not hold.
    """

    value_type: ClassVar[ValueType] = ValueType.ANY

    def compile(self) -> Callable[[object], object]:
        return lambda value: value is None


Predicate: TypeAlias = (
    Exists | IsNull | TextIn | TextLike | TextSubstring | TextRegex | ValueIn | Range | AddressIn
)


def compile_any(predicates: Sequence[Predicate]) -> ValueMatcher:
    """Return a function that tests whether any of `predicates` holds. All of them must be text predicates.

    For speed, the wildcard patterns of all predicates are merged into one test.
    """
    patterns: dict[bool, list[str]] = {}
    matchers: list[ValueMatcher] = []
    for predicate in predicates:
        if isinstance(predicate, TextLike):
            patterns.setdefault(predicate.ignore_case, []).extend(predicate.patterns)
        else:
            matchers.append(predicate.compile())
    merged = [
        compile_like_any(dict.fromkeys(texts), ignore_case=ignore_case)
        for ignore_case, texts in patterns.items()
    ]
    return any_matcher([*merged, *matchers])
