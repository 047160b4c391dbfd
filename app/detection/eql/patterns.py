"""Wildcard patterns and parts of texts as tests of one text, each in the cheapest way that is right.

Tests run for most events, so they are plain loops, and say what `any` would say in more words.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from app.detection.eql.lucene import search_any
from app.detection.eql.values import Fits, fold
from app.domain.wildcard import compile_wildcards

MOST_IN_TURN = 12
"""Texts to look for one after the other; RE2 looks for more of them at once."""

WORTH_COUNTING = 3
"""Characters from which on it pays to look first whether a text is long enough."""

_WILDCARDS = re.compile(r"[*?]+")


def like_any(patterns: Iterable[str], *, any_case: bool) -> Fits:
    """Whether a text is described by one of `patterns` (see `app.domain.wildcard`).

    Most have stars at their ends only and need no regular expression. `any_case` folds ASCII letters.
    """
    folded = [fold(pattern) if any_case else pattern for pattern in patterns]
    whole, starts, ends, parts, others = set(), [], [], [], []
    for pattern in folded:
        text = pattern.strip("*")
        if _WILDCARDS.search(text):
            others.append(pattern)
        elif text == pattern:
            whole.add(text)
        elif not pattern.startswith("*"):
            starts.append(text)
        elif not pattern.endswith("*"):
            ends.append(text)
        else:
            parts.append(text)
    tests: list[Fits] = []
    if whole:
        tests.append(frozenset(whole).__contains__)
    if starts:
        tests.append(_starting(tuple(starts)))
    if ends:
        tests.append(_ending(tuple(ends)))
    if parts:
        tests.append(_containing(parts))
    if others:
        tests.append(_described(others))
    test = either(tests)
    return folding(test, min(map(_least, folded))) if any_case else test


def like_any_of_list(patterns: Iterable[str], *, any_case: bool) -> Callable[[Sequence[str]], bool]:
    """The same for a list of texts, of which any may fit.

    Most lists have nothing of what the patterns look for, which is seen at once in all texts together.
    """
    known = tuple(patterns)
    each_in_turn = of_list(like_any(known, any_case=any_case))
    pieces = {_longest_piece(fold(pattern) if any_case else pattern) for pattern in known}
    if "" in pieces or len(pieces) > MOST_IN_TURN:
        return each_in_turn
    possible = folding(_containing(sorted(pieces))) if any_case else _containing(sorted(pieces))
    return lambda texts: bool(possible("\0".join(texts))) and each_in_turn(texts)


def of_list(fits: Fits) -> Callable[[Sequence[str]], bool]:
    def test(texts: Sequence[str]) -> bool:
        for text in texts:  # noqa: SIM110
            if fits(text):
                return True
        return False

    return test


def starting(part: str, *, any_case: bool) -> Fits:
    return folding(_starting((fold(part),))) if any_case else _starting((part,))


def ending(part: str, *, any_case: bool) -> Fits:
    return folding(_ending((fold(part),))) if any_case else _ending((part,))


def containing(part: str, *, any_case: bool) -> Fits:
    return folding(_containing([fold(part)])) if any_case else _containing([part])


def folding(asked: Fits, least: int = 0) -> Fits:
    """`asked` about a text with its letters folded, if it has `least` characters or more.

    Most arguments are short and most patterns long; and `fold` is written out, as this runs often.
    """
    if least < WORTH_COUNTING:
        return lambda text: asked(text.lower() if text.isascii() else fold(text))
    return lambda text: len(text) >= least and asked(text.lower() if text.isascii() else fold(text))


def either(tests: Sequence[Fits]) -> Fits:
    """Whether any of `tests` holds; never, if there are none."""
    if len(tests) == 1:
        return tests[0]

    def test(text: str) -> bool:
        for fits in tests:  # noqa: SIM110
            if fits(text):
                return True
        return False

    return test


def _starting(starts: tuple[str, ...]) -> Fits:
    return lambda text: text.startswith(starts)


def _ending(ends: tuple[str, ...]) -> Fits:
    return lambda text: text.endswith(ends)


def _containing(texts: Iterable[str]) -> Fits:
    parts = tuple(dict.fromkeys(texts))
    if len(parts) == 1:
        (part,) = parts
        return lambda text: part in text

    def test(text: str) -> bool:
        for part in parts:  # noqa: SIM110
            if part in text:
                return True
        return False

    return search_any(parts, test) if len(parts) > MOST_IN_TURN else test


def _described(patterns: Sequence[str]) -> Fits:
    """By a regular expression, after a look for a piece of text that one of them has."""
    matches = compile_wildcards(tuple(patterns), ignore_case=False).match
    pieces = set(map(_longest_piece, patterns))
    if "" in pieces:
        return matches
    possible = _containing(sorted(pieces))
    return lambda text: possible(text) and matches(text)


def _longest_piece(pattern: str) -> str:
    """The piece of text that tells most; of two as long, not a dash or a slash, which many texts have."""
    return max(_WILDCARDS.split(pattern), key=lambda piece: (len(piece), piece.isalnum()))


def _least(pattern: str) -> int:
    return len(pattern.replace("*", ""))
