"""Wildcard patterns and parts of texts as tests of one text, each in the cheapest way that is right.

Tests run for most events, so they are plain loops, and say what `any` would say in more words.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from app.detection.eql.coercion import ValueMatcher, ascii_lower
from app.detection.eql.lucene_regex import compile_literal_search
from app.domain.wildcard import compile_wildcards

MAX_SEQUENTIAL_SEARCHES = 12
"""Texts to look for one after the other; RE2 looks for more of them at once."""

MIN_CHECKED_LENGTH = 3
"""Characters from which on it pays to look first whether a text is long enough."""

_WILDCARD_RUN = re.compile(r"[*?]+")


def compile_like_any(patterns: Iterable[str], *, ignore_case: bool) -> ValueMatcher:
    """Whether a text is described by one of `patterns` (see `app.domain.wildcard`).

    Most have stars at their ends only and need no regular expression. `any_case` folds ASCII letters.
    """
    folded = [ascii_lower(pattern) if ignore_case else pattern for pattern in patterns]
    whole, starts, ends, parts, others = set(), [], [], [], []
    for pattern in folded:
        text = pattern.strip("*")
        if _WILDCARD_RUN.search(text):
            others.append(pattern)
        elif text == pattern:
            whole.add(text)
        elif not pattern.startswith("*"):
            starts.append(text)
        elif not pattern.endswith("*"):
            ends.append(text)
        else:
            parts.append(text)
    tests: list[ValueMatcher] = []
    if whole:
        tests.append(frozenset(whole).__contains__)
    if starts:
        tests.append(_starts_with_any(tuple(starts)))
    if ends:
        tests.append(_ends_with_any(tuple(ends)))
    if parts:
        tests.append(_contains_any(parts))
    if others:
        tests.append(_matches_regex(others))
    test = any_matcher(tests)
    return on_ascii_lower(test, min(map(_min_length, folded))) if ignore_case else test


def compile_like_any_for_list(
    patterns: Iterable[str], *, ignore_case: bool
) -> Callable[[Sequence[str]], bool]:
    """The same for a list of texts, of which any may fit.

    Most lists have nothing of what the patterns look for, which is seen at once in all texts together.
    """
    known = tuple(patterns)
    each_in_turn = any_in_list(compile_like_any(known, ignore_case=ignore_case))
    pieces = {
        _longest_literal(ascii_lower(pattern) if ignore_case else pattern) for pattern in known
    }
    if "" in pieces or len(pieces) > MAX_SEQUENTIAL_SEARCHES:
        return each_in_turn
    possible = (
        on_ascii_lower(_contains_any(sorted(pieces)))
        if ignore_case
        else _contains_any(sorted(pieces))
    )
    return lambda texts: bool(possible("\0".join(texts))) and each_in_turn(texts)


def any_in_list(matches: ValueMatcher) -> Callable[[Sequence[str]], bool]:
    def test(texts: Sequence[str]) -> bool:
        for text in texts:  # noqa: SIM110
            if matches(text):
                return True
        return False

    return test


def compile_starts_with(part: str, *, ignore_case: bool) -> ValueMatcher:
    return (
        on_ascii_lower(_starts_with_any((ascii_lower(part),)))
        if ignore_case
        else _starts_with_any((part,))
    )


def compile_ends_with(part: str, *, ignore_case: bool) -> ValueMatcher:
    return (
        on_ascii_lower(_ends_with_any((ascii_lower(part),)))
        if ignore_case
        else _ends_with_any((part,))
    )


def compile_contains(part: str, *, ignore_case: bool) -> ValueMatcher:
    return (
        on_ascii_lower(_contains_any([ascii_lower(part)])) if ignore_case else _contains_any([part])
    )


def on_ascii_lower(matches: ValueMatcher, min_length: int = 0) -> ValueMatcher:
    """`asked` about a text with its letters folded, if it has `least` characters or more.

    Most arguments are short and most patterns long; and `fold` is written out, as this runs often.
    """
    if min_length < MIN_CHECKED_LENGTH:
        return lambda text: matches(text.lower() if text.isascii() else ascii_lower(text))
    return lambda text: (
        len(text) >= min_length and matches(text.lower() if text.isascii() else ascii_lower(text))
    )


def any_matcher(tests: Sequence[ValueMatcher]) -> ValueMatcher:
    """Whether any of `tests` holds; never, if there are none."""
    if len(tests) == 1:
        return tests[0]

    def test(text: str) -> bool:
        for matches in tests:  # noqa: SIM110
            if matches(text):
                return True
        return False

    return test


def _starts_with_any(starts: tuple[str, ...]) -> ValueMatcher:
    return lambda text: text.startswith(starts)


def _ends_with_any(ends: tuple[str, ...]) -> ValueMatcher:
    return lambda text: text.endswith(ends)


def _contains_any(texts: Iterable[str]) -> ValueMatcher:
    parts = tuple(dict.fromkeys(texts))
    if len(parts) == 1:
        (part,) = parts
        return lambda text: part in text

    def test(text: str) -> bool:
        for part in parts:  # noqa: SIM110
            if part in text:
                return True
        return False

    return compile_literal_search(parts, test) if len(parts) > MAX_SEQUENTIAL_SEARCHES else test


def _matches_regex(patterns: Sequence[str]) -> ValueMatcher:
    """By a regular expression, after a look for a piece of text that one of them has."""
    matches = compile_wildcards(tuple(patterns), ignore_case=False).match
    pieces = set(map(_longest_literal, patterns))
    if "" in pieces:
        return matches
    possible = _contains_any(sorted(pieces))
    return lambda text: possible(text) and matches(text)


def _longest_literal(pattern: str) -> str:
    """The piece of text that tells most; of two as long, not a dash or a slash, which many texts have."""
    return max(_WILDCARD_RUN.split(pattern), key=lambda piece: (len(piece), piece.isalnum()))


def _min_length(pattern: str) -> int:
    return len(pattern.replace("*", ""))
