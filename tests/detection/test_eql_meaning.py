"""EQL evaluation: what applies to conditions of every kind.

The tables in `conformance/` test each kind of condition.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.detection.detector import Detector
from app.detection.eql.errors import InvalidQueryError
from app.detection.eql.query import compile_query
from app.detection.rule import BUNDLED_RULES_DIR, Rule, load_rules


@cache
def any_rule() -> Rule:
    return load_rules([BUNDLED_RULES_DIR]).rules[0]


def matches(query: str, event: dict[str, object]) -> bool:
    rule = replace(any_rule(), tree=compile_query(query))
    return bool(Detector([rule]).match_document(event))


def test_nested_lists_are_flattened() -> None:
    event: dict[str, object] = {"process": {"name": [["scp"], [["ssh"]]]}}
    assert matches('any where process.name == "ssh"', event)
    assert not matches('any where process.name != "ssh"', event)


def test_every_semantic_error_of_a_query_is_reported() -> None:
    with pytest.raises(InvalidQueryError) as raised:
        compile_query("process where a == 1 and\n not (b == 2 or c in (3))")
    positions = [(error.line, error.column) for error in raised.value.errors]
    assert positions == [(1, 15), (2, 7), (2, 17)]


_Event = dict[str, list[str]]
_Meaning = Callable[[_Event], bool]


def _leaf(field: str, operator: str, text: str) -> tuple[str, _Meaning]:
    def meaning(event: _Event) -> bool:
        present = event.get(field, [])
        if operator == "in":
            return text in present
        if operator == ":":
            return any(value.lower() == text.lower() for value in present)
        return (text in present) is (operator == "==")

    right = f'("{text}", "never")' if operator == "in" else f'"{text}"'
    return f"?{field} {operator} {right}", meaning


def _negation(inner: tuple[str, _Meaning]) -> tuple[str, _Meaning]:
    return f"not ({inner[0]})", lambda event: not inner[1](event)


def _junction(word: str, parts: list[tuple[str, _Meaning]]) -> tuple[str, _Meaning]:
    decide = all if word == "and" else any
    text = f" {word} ".join(f"({part})" for part, _ in parts)
    return text, lambda event: decide(meaning(event) for _, meaning in parts)


_FIELDS = ["a", "b.c", "b.d"]
_TEXTS = ["x", "X", "y"]
_CONDITIONS = st.recursive(
    st.builds(
        _leaf,
        st.sampled_from(_FIELDS),
        st.sampled_from(["==", "!=", ":", "in"]),
        st.sampled_from(_TEXTS),
    ),
    lambda inner: st.one_of(
        inner.map(_negation),
        st.builds(
            _junction, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=4)
        ),
    ),
    max_leaves=12,
)


@given(
    _CONDITIONS,
    st.dictionaries(st.sampled_from(_FIELDS), st.lists(st.sampled_from(_TEXTS), max_size=2)),
)
def test_nested_conditions_follow_boolean_logic(
    condition: tuple[str, _Meaning], event: _Event
) -> None:
    text, meaning = condition
    assert matches(f"any where {text}", dict(event)) is meaning(event)
