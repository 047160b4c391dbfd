"""Wildcard patterns, compared with an oracle that follows the definition."""

from functools import cache
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.wildcard import compile_wildcard, compile_wildcards


def matches_by_definition(pattern: str, value: str) -> bool:
    """Return whether `pattern` matches all of `value`: `*` is any text, `?` any single character."""

    @cache
    def matches_from(p: int, v: int) -> bool:
        if p == len(pattern):
            return v == len(value)
        if pattern[p] == "*":
            return matches_from(p + 1, v) or (v < len(value) and matches_from(p, v + 1))
        return v < len(value) and pattern[p] in ("?", value[v]) and matches_from(p + 1, v + 1)

    return matches_from(0, 0)


@given(st.text("ab*?", max_size=12), st.text("ab\n", max_size=12))
def test_a_compiled_pattern_matches_as_defined(pattern: str, value: str) -> None:
    compiled = compile_wildcard(pattern, ignore_case=False)
    assert (
        bool(compiled.match(value))
        == bool(compiled.fullmatch(value))
        == matches_by_definition(pattern, value)
    )


@given(st.text("aA*?é", max_size=10), st.text("aAéÉ", max_size=10))
def test_ignore_case_folds_ascii_letters_only(pattern: str, value: str) -> None:
    def lower_ascii(text: str) -> str:
        return "".join(c.lower() if c.isascii() else c for c in text)

    compiled = compile_wildcard(pattern, ignore_case=True)
    assert bool(compiled.match(value)) == matches_by_definition(
        lower_ascii(pattern), lower_ascii(value)
    )


@given(st.text(max_size=20))
def test_a_pattern_without_wildcards_matches_only_itself(text: str) -> None:
    literal = text.replace("*", "").replace("?", "")
    compiled = compile_wildcard(literal, ignore_case=False)
    assert compiled.match(literal)
    assert not compiled.match(literal + "x")
    assert not compiled.match("x" + literal)


@given(
    st.lists(st.text("ab*?", max_size=6), min_size=1, max_size=4).map(tuple),
    st.text("ab", max_size=8),
)
def test_several_patterns_match_if_any_of_them_does(patterns: tuple[str, ...], value: str) -> None:
    compiled = compile_wildcards(patterns, ignore_case=False)
    assert bool(compiled.match(value)) == any(
        matches_by_definition(pattern, value) for pattern in patterns
    )


@pytest.mark.parametrize(
    ("pattern", "value", "accepted"),
    [
        ("sshd-*", "sshd-session", True),
        ("*/ssh", "/usr/bin/ssh", True),
        ("*/ssh", "/usr/bin/ssh\n", False),
        ("a.c", "abc", False),
        (r"\d", "7", False),
        (r"c:\*", "c:\\windows", True),
        ("", "", True),
        ("*", "", True),
        ("?*", "", False),
        ("K", "\u212a", False),
    ],
)
def test_only_star_and_question_mark_are_special(pattern: str, value: str, accepted: bool) -> None:
    assert bool(compile_wildcard(pattern, ignore_case=True).match(value)) is accepted


def test_a_hostile_pattern_does_not_backtrack_exponentially() -> None:
    pattern = compile_wildcard("*a" * 40 + "*b", ignore_case=False)
    started = perf_counter()
    assert not pattern.match("a" * 20_000)
    # With backtracking this would never end; without it, 20 s suffice even on a loaded machine.
    assert perf_counter() - started < 20
