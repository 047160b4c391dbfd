"""Matchers: functions that test whether a text matches a wildcard pattern or contains a substring.

Each pattern is compiled to the fastest equivalent function. Matchers run for most events, so they use loops
instead of the slower `any()`.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from app.detection.eql.coercion import ValueMatcher, ascii_lower
from app.detection.eql.lucene_regex import compile_literal_search
from app.domain.wildcard import compile_wildcards

MAX_SEQUENTIAL_SEARCHES = 12
"""Maximum number of substrings that are searched one by one. For more substrings, RE2 is faster."""

MIN_CHECKED_LENGTH = 3
"""A length check before the match saves time only if the shortest pattern has at least this length."""

_WILDCARD_RUN = re.compile(r"[*?]+")


def compile_like_any(patterns: Iterable[str], *, ignore_case: bool) -> ValueMatcher:
    """Return a function that tests whether any of `patterns` matches a text (see `app.domain.wildcard`).

    Most patterns have `*` only at the start or end, so they need no regular expression. `ignore_case` ignores
    the case of ASCII letters only.
    """
    folded = [ascii_lower(pattern) if ignore_case else pattern for pattern in patterns]
    exact, prefixes, suffixes, substrings, others = set(), [], [], [], []
    for pattern in folded:
        text = pattern.strip("*")
        if _WILDCARD_RUN.search(text):
            others.append(pattern)
        elif text == pattern:
            exact.add(text)
        elif not pattern.startswith("*"):
            prefixes.append(text)
        elif not pattern.endswith("*"):
            suffixes.append(text)
        else:
            substrings.append(text)
    tests: list[ValueMatcher] = []
    if exact:
        tests.append(frozenset(exact).__contains__)
    if prefixes:
        tests.append(starts_with_any(prefixes))
    if suffixes:
        tests.append(ends_with_any(suffixes))
    if substrings:
        tests.append(contains_any(substrings))
    if others:
        tests.append(_matches_regex(others))
    test = any_matcher(tests)
    return on_ascii_lower(test, min(map(_min_length, folded))) if ignore_case else test


def compile_like_any_for_list(
    patterns: Iterable[str], *, ignore_case: bool
) -> Callable[[Sequence[str]], bool]:
    """Return a function that tests whether a list contains a text that matches one of `patterns`.

    Wildcards separate the literal parts of a pattern. For example, the literal parts of `*ssh*.conf` are
    `ssh` and `.conf`. A text matches a pattern only if the text contains all literal parts of the pattern.

    The returned function joins the texts and searches the result for one literal part of each pattern. If the
    search finds nothing, no text matches, and the function returns false. If the search finds a literal part,
    the function tests the texts one by one. For most lists, the search finds nothing.
    """
    patterns = tuple(patterns)
    test_each_text = any_in_list(compile_like_any(patterns, ignore_case=ignore_case))
    literals = {
        _longest_literal(ascii_lower(pattern) if ignore_case else pattern) for pattern in patterns
    }
    if "" in literals or len(literals) > MAX_SEQUENTIAL_SEARCHES:
        return test_each_text
    possible = contains_any(sorted(literals))
    if ignore_case:
        possible = on_ascii_lower(possible)
    return lambda texts: bool(possible("\0".join(texts))) and test_each_text(texts)


def any_in_list(matches: ValueMatcher) -> Callable[[Sequence[str]], bool]:
    """Return a function that tests whether `matches` holds for any text of a list."""

    def test(texts: Sequence[str]) -> bool:
        for text in texts:  # noqa: SIM110 (a loop is faster than any())
            if matches(text):
                return True
        return False

    return test


def on_ascii_lower(matches: ValueMatcher, min_length: int = 0) -> ValueMatcher:
    """Return a function that converts ASCII letters to lower case and then applies `matches`.

    The function returns false for a text shorter than `min_length`, without a conversion. This saves time,
    because most process arguments are short, and most patterns are long. The body of `ascii_lower` is
    repeated here to save a function call.
    """
    if min_length < MIN_CHECKED_LENGTH:
        return lambda text: matches(text.lower() if text.isascii() else ascii_lower(text))
    return lambda text: (
        len(text) >= min_length and matches(text.lower() if text.isascii() else ascii_lower(text))
    )


def any_matcher(tests: Sequence[ValueMatcher]) -> ValueMatcher:
    """Return a function that tests whether any of `tests` holds. It returns false if `tests` is empty."""
    if len(tests) == 1:
        return tests[0]

    def test(text: str) -> bool:
        for matches in tests:  # noqa: SIM110 (a loop is faster than any())
            if matches(text):
                return True
        return False

    return test


def starts_with_any(prefixes: Iterable[str]) -> ValueMatcher:
    """Return a function that tests whether a text starts with any of `prefixes`."""
    starts = tuple(prefixes)
    return lambda text: text.startswith(starts)


def ends_with_any(suffixes: Iterable[str]) -> ValueMatcher:
    """Return a function that tests whether a text ends with any of `suffixes`."""
    ends = tuple(suffixes)
    return lambda text: text.endswith(ends)


def contains_any(substrings: Iterable[str]) -> ValueMatcher:
    """Return a function that tests whether a text contains any of `substrings`."""
    parts = tuple(dict.fromkeys(substrings))
    if len(parts) == 1:
        (part,) = parts
        return lambda text: part in text

    def test(text: str) -> bool:
        for part in parts:  # noqa: SIM110 (a loop is faster than any())
            if part in text:
                return True
        return False

    return compile_literal_search(parts, test) if len(parts) > MAX_SEQUENTIAL_SEARCHES else test


def _matches_regex(patterns: Sequence[str]) -> ValueMatcher:
    """Return a function that tests whether any of `patterns` matches a text.

    The function searches for a literal part of each pattern first. It applies the slower regular expression
    only if the text contains one of these parts.
    """
    matches = compile_wildcards(tuple(patterns), ignore_case=False).match
    literals = set(map(_longest_literal, patterns))
    if "" in literals:
        return matches
    possible = contains_any(sorted(literals))
    return lambda text: possible(text) and matches(text)


def _longest_literal(pattern: str) -> str:
    """Return the longest part of `pattern` without wildcards.

    If two parts have the same length, an alphanumeric part is preferred, because dashes and slashes occur in
    many texts.
    """
    return max(_WILDCARD_RUN.split(pattern), key=lambda part: (len(part), part.isalnum()))


def _min_length(pattern: str) -> int:
    return len(pattern.replace("*", ""))
