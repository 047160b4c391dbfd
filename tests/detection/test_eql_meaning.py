"""What EQL conditions mean, and what makes a query meaningless.

The answers come from Elasticsearch's documentation (EQL syntax reference, term, wildcard, range and
exists queries, mapping parameter `coerce`) and its tests of how EQL becomes query DSL.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.detection.detector import Detector
from app.detection.eql.clauses import complaints
from app.detection.eql.parser import parse
from app.detection.rule import OUR_RULES, Rule, load_rules

FIELD = re.compile(r"\b[a-z]+\.[a-z]+\b(?!\")")


@cache
def ours() -> Rule:
    return load_rules([OUR_RULES]).rules[0]


def matches(query: str, event: dict[str, object]) -> bool:
    tree = parse(query)
    assert not list(complaints(tree))
    return bool(Detector([replace(ours(), tree=tree)]).decide_document(event))


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        # == and in: exact, case-sensitive, * and ? literal
        ('process.name == "ssh"', "ssh", True),
        ('process.name == "ssh"', "SSH", False),
        ('process.name == "s*"', "ssh", False),
        ('process.name == "s*"', "s*", True),
        ('process.name == "ssh"', "ssh ", False),
        ('"ssh" == process.name', "ssh", True),
        ('process.name in ("ssh", "s?hd")', "sshd", False),
        ('process.name in ("ssh", "s?hd")', "s?hd", True),
        ('process.name in ("ssh", "sshd")', "Sshd", False),
        # : and the ~ forms: ASCII letters in any case
        ('process.name : "ssh"', "SsH", True),
        ('process.name : "s*h"', "SUDO SSH", True),
        ('process.name : "s?h"', "sh", False),
        ('process.name : ("scp", "SSH")', "ssh", True),
        ('process.name : "ssh"', "\u017f\u017fh", False),
        ('process.name : "\u00e9"', "\u00c9", False),
        ('process.name : "caf\u00e9"', "CAF\u00e9", True),
        ('process.name : "a\\\\*"', "a\\bin", True),
        ('process.name : "s.h"', "ssh", False),
        ('process.name in~ ("s*", "SSH")', "ssh", True),
        ('process.name in~ ("s*")', "ssh", False),
        ('process.name like "s*"', "ssh", True),
        ('process.name like "s*"', "SSH", False),
        ('process.name like ("a", "*h")', "ssh", True),
        ('process.name like~ "S*"', "ssh\nd", True),
        ('process.name like "*"', "", True),
        # != and not: no value may fit, and none at all is fine
        ('process.name != "ssh"', "ssh", False),
        ('process.name != "ssh"', "sshd", True),
        ('process.name != "ssh"', None, True),
        ('process.name != "ssh"', [], True),
        ('process.name != "ssh"', ["ssh", "sshd"], False),
        ('not process.name : "s*"', None, True),
        ('process.name not in ("ssh")', None, True),
        ('process.name not in ("ssh")', "ssh", False),
        ("not process.pid > 1", None, True),
        # nothing compares with what is not there
        ('process.name == "ssh"', None, False),
        ('process.name : "*"', None, False),
        ("process.pid > 1", None, False),
        ("process.pid < 1", None, False),
        ('process.name == ""', None, False),
        ('process.name == ""', "", True),
        # null
        ("process.name == null", None, True),
        ("process.name == null", [], True),
        ("process.name == null", [None], True),
        ("process.name == null", "", False),
        ("process.name == null", ["", None], False),
        ("process.name != null", "ssh", True),
        ("process.name != null", None, False),
        ("null != process.name", "ssh", True),
        # any value of several
        ('process.name == "ssh"', ["scp", "ssh"], True),
        ('process.name == "ssh"', [["scp"], ["ssh"]], True),
        ('process.name == "ssh"', [None, "ssh"], True),
        ("process.pid > 5", [1, 9], True),
        ("process.pid > 5 and process.pid < 3", [1, 9], True),
        # numbers
        ("process.pid == 22", 22, True),
        ("process.pid == 22", 22.0, True),
        ("process.pid == 22", "22", True),
        ("process.pid == 22", "22 ", False),
        ("process.pid == 22", "twenty", False),
        ("process.pid == 22", True, False),
        ('process.pid == "22"', 22, True),
        ("process.pid != 22", "22", False),
        ("process.pid in (1, 22)", "22", True),
        ("22 < process.pid", 23, True),
        ("22 >= process.pid", 23, False),
        ("process.pid >= 1.5", 1.5, True),
        ("process.pid > -1", 0, True),
        ("process.pid < 9007199254740993", 9007199254740992, True),
        ("process.pid == 9007199254740993", "9007199254740992", False),
        # a keyword holds texts, whatever was sent
        ('user.id == "1000"', 1000, True),
        ("user.id == 1000", 1000, True),
        ("user.id == 1000", "1000", True),
        ('user.id : "1*"', 1000, True),
        ('user.id != "0"', 0, False),
        ('process.name == "true"', True, True),
        # texts are ordered by code point
        ('process.name > "m"', "ssh", True),
        ('process.name > "m"', "Ssh", False),
        ('process.name <= "ssh"', "ssh", True),
        # booleans
        ("process.interactive", True, True),
        ("process.interactive", False, False),
        ("process.interactive", None, False),
        ("process.interactive", "true", True),
        ("not process.interactive", None, True),
        ("process.interactive == true", [False, True], True),
        ("process.interactive == false", "false", True),
        ("process.interactive != true", False, True),
        ("process.interactive in (true, false)", None, False),
        # addresses
        ('source.ip == "10.0.0.1"', "10.0.0.1", True),
        ('source.ip == "::ffff:10.0.0.1"', "10.0.0.1", True),
        ('source.ip == "2001:db8::1"', "2001:DB8:0::0:1", True),
        ('source.ip in ("10.0.0.1", "10.0.0.2")', ["::1", "10.0.0.2"], True),
        ('source.ip == "10.0.0.1"', "10.0.0.10", False),
        ('source.ip == "10.0.0.1"', "nowhere", False),
        # open names take the type of the constant
        ('labels.env == "prod"', "prod", True),
        ("labels.count == 3", "3", True),
        ("labels.on == true", "true", True),
        ('labels.mixed in ("a", 3)', 3, True),
        ("labels.count > 2", 3, True),
        ('?agents.own == "x"', "x", True),
        ('?agents.own != "x"', None, True),
        ("?agents.own", True, True),
        # constants
        ("true", None, True),
        ("false", None, False),
        ("not false and (false or true)", None, True),
    ],
)
def test_a_condition_means_what_it_means_to_elasticsearch(
    condition: str, value: object, expected: bool
) -> None:
    (field,) = set(FIELD.findall(condition)) or {"x"}
    event: dict[str, object] = {} if value is None else {field: value}
    assert matches(f"any where {condition}", event) is expected


@pytest.mark.parametrize(
    ("query", "category", "expected"),
    [
        ("process where true", "process", True),
        ("process where true", ["session", "process"], True),
        ("process where true", "Process", False),
        ("process where true", None, False),
        ("any where true", None, True),
        ('"process" where true', ["process"], True),
    ],
)
def test_the_category_is_one_of_event_category(
    query: str, category: object, expected: bool
) -> None:
    assert matches(query, {"event": {"category": category}}) is expected


@pytest.mark.parametrize(
    ("condition", "column", "complaint"),
    [
        ('usr.name == "x"', 11, "unknown field 'usr.name'; did you mean 'user.name'?"),
        ('true and process.nmae : "x"', 20, "did you mean 'process.name'?"),
        ("zork == null", 11, "unknown field 'zork'; if agents do send it, write '?zork'"),
        ("process.Ext == 1", 11, "'process.Ext' is an object"),
        ('@timestamp > "2026"', 24, "write day and time in full"),
        (
            "process.name == process.executable",
            27,
            "two fields cannot be compared with each other",
        ),
        ("1 < true", 15, "'<' orders numbers and texts"),
        ('1 < "2"', 15, "a text and a number cannot be compared"),
        ('"a" in ("a")', 11, "a constant cannot stand here"),
        ('"a"', 11, "a condition is a comparison, true or false"),
        ("null", 11, "a condition is a comparison, true or false"),
        ("process.name", 11, "'process.name' is not true or false"),
        ("process.name > 5", 26, "'>' needs a text in double quotes"),
        ("process.name : 5", 26, "':' needs a text in double quotes"),
        ('process.pid == "x"', 26, "'process.pid' is a number"),
        ("process.pid == true", 26, "'process.pid' is a number"),
        ("process.pid == 1e999", 26, "'process.pid' is a number"),
        ('process.pid : "1"', 11, "':' compares texts, and 'process.pid' is none"),
        ('process.interactive == "yes"', 34, "is true or false, and this is neither"),
        ("process.interactive > true", 11, "'>' orders numbers, dates and texts"),
        ('source.ip == "10.0.0.0/33"', 24, "'source.ip' is an IP address"),
        ('process.name in ("a", null)', 33, "null goes with '==' and '!=' only"),
        ("process.pid < null", 25, "'process.pid' is a number"),
        ('?`a"b` == 1', 11, "are not supported"),
        ("?" + ".".join("a" * 30) + " == 1", 11, "more than 20 parts"),
    ],
)
def test_a_meaningless_comparison_is_told_with_its_place(
    condition: str, column: int, complaint: str
) -> None:
    (found,) = complaints(parse(f"any where {condition}"))
    assert complaint in found.message
    assert (found.line, found.column) == (1, column)


def test_every_meaningless_comparison_of_a_query_is_told() -> None:
    tree = parse("process where a == 1 and\n not (b == 2 or c in (3))")
    assert sorted((found.line, found.column) for found in complaints(tree)) == [
        (1, 15),
        (2, 7),
        (2, 17),
    ]


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
def test_any_nesting_of_conditions_is_plain_logic(
    condition: tuple[str, _Meaning], event: _Event
) -> None:
    text, meaning = condition
    assert matches(f"any where {text}", dict(event)) is meaning(event)
