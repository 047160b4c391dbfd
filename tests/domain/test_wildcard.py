"""Wildcard patterns against an oracle that tries every way to match."""

from functools import cache
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.wildcard import compile_wildcard, compile_wildcards


def fits(pattern: str, value: str) -> bool:
    """Whether `pattern` describes `value`, by their definition."""

    @cache
    def at(p: int, v: int) -> bool:
        if p == len(pattern):
            return v == len(value)
        if pattern[p] == "*":
            return at(p + 1, v) or (v < len(value) and at(p, v + 1))
        return v < len(value) and pattern[p] in ("?", value[v]) and at(p + 1, v + 1)

    return at(0, 0)


@given(st.text("ab*?", max_size=12), st.text("ab\n", max_size=12))
def test_a_pattern_accepts_what_its_definition_accepts(pattern: str, value: str) -> None:
    compiled = compile_wildcard(pattern, ignore_case=False)
    assert bool(compiled.match(value)) == bool(compiled.fullmatch(value)) == fits(pattern, value)


@given(st.text("aA*?é", max_size=10), st.text("aAéÉ", max_size=10))
def test_ignoring_case_is_the_same_as_lowering_ascii_on_both_sides(
    pattern: str, value: str
) -> None:
    def low(text: str) -> str:
        return "".join(c.lower() if c.isascii() else c for c in text)

    compiled = compile_wildcard(pattern, ignore_case=True)
    assert bool(compiled.match(value)) == fits(low(pattern), low(value))


@given(st.text(max_size=20))
def test_a_text_without_wildcards_accepts_itself_alone(text: str) -> None:
    literal = text.replace("*", "").replace("?", "")
    compiled = compile_wildcard(literal, ignore_case=False)
    assert compiled.match(literal)
    assert not compiled.match(literal + "x")
    assert not compiled.match("x" + literal)


@given(
    st.lists(st.text("ab*?", max_size=6), min_size=1, max_size=4).map(tuple),
    st.text("ab", max_size=8),
)
def test_several_patterns_accept_what_any_of_them_accepts(
    patterns: tuple[str, ...], value: str
) -> None:
    compiled = compile_wildcards(patterns, ignore_case=False)
    assert bool(compiled.match(value)) == any(fits(pattern, value) for pattern in patterns)


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


def test_a_hostile_pattern_and_value_stay_linear_enough() -> None:
    pattern = compile_wildcard("*a" * 40 + "*b", ignore_case=False)
    started = perf_counter()
    assert not pattern.match("a" * 20_000)
    # Going back would take longer than the universe has; a loaded machine does not need 20 s.
    assert perf_counter() - started < 20
