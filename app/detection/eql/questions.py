"""Questions that a condition asks of a field's values; which field, and when, `clauses` says.

Each is a value: equal questions are the same question, so that generated code can ask once. Its
`test` is a function of one value, which `reader` (see `values`) puts to each value of a field.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from app.detection.eql.lucene import compile_regexes, search_any
from app.detection.eql.tree import Comparator
from app.detection.eql.values import Fits, Network, Reader, as_address, fold
from app.domain.wildcard import compile_wildcards

MOST_IN_TURN = 12
"""Texts to look for one after the other; RE2 looks for more of them at once."""

WORTH_COUNTING = 3

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

    def list_test(self) -> Callable[[list[str]], bool]:
        """For a question about texts: the test of a list of them, whether any fits."""
        fits = self.test()

        def test(texts: list[str]) -> bool:
            for text in texts:  # a loop, not any(): this runs for many events  # noqa: SIM110
                if fits(text):
                    return True
            return False

        return test


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
            return _folding(frozenset(map(fold, self.texts)).__contains__)
        return self.texts.__contains__

    def list_test(self) -> Callable[[list[str]], bool]:
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
        patterns = tuple(map(fold, self.patterns)) if self.any_case else self.patterns
        asked = _simple_tests(patterns)
        if asked is None:
            return compile_wildcards(self.patterns, ignore_case=self.any_case).match
        least = min(len(pattern.replace("*", "")) for pattern in patterns)
        return _folding(asked, least) if self.any_case else asked


def _folding(asked: Callable[[str], object], least: int = 0) -> Callable[[str], object]:
    """`asked` about a text with its letters folded, if it has `least` characters or more.

    Most arguments are short and most patterns long; and `fold` is written out, as this runs often.
    """
    if least < WORTH_COUNTING:
        return lambda text: asked(text.lower() if text.isascii() else fold(text))
    return lambda text: len(text) >= least and asked(text.lower() if text.isascii() else fold(text))


def _simple_tests(patterns: Sequence[str]) -> Callable[[str], object] | None:
    """Most patterns have stars at their ends only, and need no regular expression; None for others."""
    texts = [pattern.strip("*") for pattern in patterns]
    if any("*" in text or "?" in text for text in texts):
        return None
    whole, starts, ends, parts = set(), [], [], []
    for pattern, text in zip(patterns, texts, strict=True):
        match pattern.startswith("*"), pattern.endswith("*"):
            case False, False:
                whole.add(text)
            case False, True:
                starts.append(text)
            case True, False:
                ends.append(text)
            case _:
                parts.append(text)
    tests: list[Callable[[str], object]] = []
    if whole:
        tests.append(frozenset(whole).__contains__)
    if starts:
        tests.append(_starting(tuple(starts)))
    if ends:
        tests.append(_ending(tuple(ends)))
    if parts:
        tests.append(_containing(tuple(dict.fromkeys(parts))))
    return _either(tests)


def _either(tests: Sequence[Callable[[str], object]]) -> Callable[[str], object]:
    if len(tests) == 1:
        return tests[0]

    def test(text: str) -> bool:
        for fits in tests:  # a loop, not any(): this runs for most events  # noqa: SIM110
            if fits(text):
                return True
        return False

    return test


def _starting(starts: tuple[str, ...]) -> Callable[[str], object]:
    return lambda text: text.startswith(starts)


def _ending(ends: tuple[str, ...]) -> Callable[[str], object]:
    return lambda text: text.endswith(ends)


def _containing(parts: tuple[str, ...]) -> Callable[[str], object]:
    if len(parts) == 1:
        (part,) = parts
        return lambda text: part in text

    def test(text: str) -> bool:
        for part in parts:  # noqa: SIM110 (as above)
            if part in text:
                return True
        return False

    return search_any(parts, test) if len(parts) > MOST_IN_TURN else test


def text_like(texts: tuple[str, ...], *, any_case: bool) -> TextIs | TextLike:
    """Texts in which `*` and `?` are wildcards; without any, equality says the same for less."""
    if any("*" in text or "?" in text for text in texts):
        return TextLike(texts, any_case)
    return TextIs(frozenset(texts), any_case)


class Where(StrEnum):
    START = "startsWith"
    END = "endsWith"
    ANYWHERE = "stringContains"


@dataclass(frozen=True, slots=True)
class TextPart(Asked):
    """Does a value have `part` at its start, at its end, or anywhere?"""

    where: Where
    part: str
    any_case: bool
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        part = fold(self.part) if self.any_case else self.part
        if self.where is Where.START:
            asked = _starting((part,))
        elif self.where is Where.END:
            asked = _ending((part,))
        elif part == "":
            return lambda _text: False  # EQL function reference, stringContains: empty strings
        else:
            asked = _containing((part,))
        return _folding(asked) if self.any_case else asked


@dataclass(frozen=True, slots=True)
class TextRegex(Asked):
    """Is a value described, from its first character to its last, by one of these expressions?"""

    patterns: tuple[str, ...]
    any_case: bool
    reader: ClassVar[Reader] = Reader.TEXT

    def test(self) -> Callable[[str], object]:
        return compile_regexes(self.patterns, any_case=self.any_case)


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
            return address is not None and any(address in network for network in self.networks)

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


def any_of(questions: Sequence[Question]) -> Callable[[str], object]:
    """Whether a text fits any of `questions`, all of texts, for less than asking one by one."""
    likes: dict[bool, list[str]] = {}
    others: list[Callable[[Any], object]] = []
    for question in questions:
        if isinstance(question, TextLike):
            likes.setdefault(question.any_case, []).extend(question.patterns)
        else:
            others.append(question.test())
    together = [TextLike(tuple(dict.fromkeys(p)), any_case).test() for any_case, p in likes.items()]
    return _either([*together, *others]) if together or others else lambda _text: False
