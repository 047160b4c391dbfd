"""Comparison of Deckwatch's EQL with the `eql` package on random queries and events.

The file is long because the generator of the queries must avoid known differences. The package is Elastic's EQL implementation in Python, older than EQL in Elasticsearch. It ignores case in
nearly all comparisons, has null as a third truth value and treats a list as one value. `DIFFERENCES` lists
the known differences, and the generated queries avoid exactly these. The package's optimiser is off.

Two differences are avoided as follows. Case: the package has a global option that makes it ignore case. If
the option is off, `==` and `like` mean the same in both implementations; if it is on, `:` and the operators
with `~` do. Null: inside `not`, each condition is joined by `and` with `operand != null`, which is never
null.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any, TypeAlias

import eql
import eql.utils
import pytest
from eql.engine import PythonEngine
from eql.parser import elasticsearch_syntax, skip_optimizations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.detection.detector import Detector
from app.detection.eql.query import compile_query
from app.detection.rule import BUNDLED_RULES_DIR, Rule, load_rules

Event: TypeAlias = Mapping[str, object]
"""An event as a mapping from dotted field names to values."""


@dataclass(frozen=True)
class Leaf:
    """A condition without `and`, `or` and `not`.

    If one of `operands` is null, the `eql` package evaluates the condition to null. Deckwatch evaluates it
    to true if the condition is `negative` (for example `!=`), else to false.
    """

    text: str
    operands: tuple[str, ...]
    negative: bool = False

    @property
    def fields(self) -> list[str]:
        return _FIELD.findall(self.text)

    @property
    def compares_single_values(self) -> bool:
        """True if each field of the condition has a single value.

        `process.args` can have several values, and two uses of a field can refer to different values.
        """
        names = self.fields
        return not self.negative and len(set(names)) == len(names) and "process.args" not in names

    def to_eql(self, *, below_not: bool) -> str:
        if not (below_not or self.negative):
            return self.text
        guards = [f"{operand} != null" for operand in self.operands]
        return f"({' and '.join([*guards, self.text])})"


_FIELD = re.compile(r"(?:process|user|event|source)\.[a-z_.]+")


@cache
def any_rule() -> Rule:
    return load_rules([BUNDLED_RULES_DIR]).rules[0]


def our_decision(condition: str) -> Callable[[Event], bool]:
    detector = Detector([replace(any_rule(), tree=compile_query(f"any where {condition}"))])

    def decide(event: Event) -> bool:
        matches = detector.match_json(json.dumps(nested(event)).encode())
        assert matches is not None
        return bool(matches)

    return decide


def their_decision(condition: str, *, ignore_case: bool = True) -> Callable[[Event], bool]:
    with elasticsearch_syntax, skip_optimizations, case(ignored=ignore_case):
        query = eql.parse_query(f"any where {condition}").first.query
        matches = PythonEngine().convert(query, scoped=True)

    def decide(event: Event) -> bool:
        with case(ignored=ignore_case):
            return bool(matches(eql.Event("any", 0, nested(event))))

    return decide


@contextmanager
def case(*, ignored: bool) -> Iterator[None]:
    before = eql.utils.CASE_INSENSITIVE
    eql.utils.CASE_INSENSITIVE = ignored
    try:
        yield
    finally:
        eql.utils.CASE_INSENSITIVE = before


def nested(event: Event) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in event.items():
        *parents, last = name.split(".")
        node = document
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return document


DIFFERENCES: list[tuple[str, str, Event, bool, bool | type[Exception]]] = [
    # difference, condition, event, Deckwatch's result, result or error of the `eql` package
    ("== is case-sensitive", 'process.name == "SSH"', {"process.name": "ssh"}, False, True),
    ("in is case-sensitive", 'process.name in ("SSH", "x")', {"process.name": "ssh"}, False, True),
    ("like is case-sensitive", 'process.name like "S*"', {"process.name": "ssh"}, False, True),
    ("functions are case-sensitive", 'startsWith(process.name, "S")', {"process.name": "ssh"}, False, True),
    ("< is case-sensitive", 'process.name > "m"', {"process.name": "SSH"}, False, True),
    ("only ASCII case is ignored", 'process.name : "É"', {"process.name": "é"}, False, True),
    ("the Kelvin sign is not k", 'process.name regex~ "k.*"', {"process.name": "\u212a"}, False, True),
    ("not holds for null", 'not process.name == "x"', {}, True, False),
    ("!= holds for null", 'process.name != "x"', {}, True, False),
    ("not in holds for null", 'process.name not in ("x", "y")', {}, True, False),
    ("== false holds for null", 'startsWith(process.name, "x") == false', {}, True, False),
    ("not of a missing boolean holds", "not process.interactive", {}, True, False),
    ("not > holds for null", "not process.pid > 1", {}, True, False),
    ("any value can match", 'process.name == "b"', {"process.name": ["a", "b"]}, True, False),
    ("an empty list is null", "process.name == null", {"process.name": []}, True, False),
    ("[null] is null", "process.name == null", {"process.name": [None]}, True, False),
    ("length of each value", "length(process.args) == 2", {"process.args": ["a", "b"]}, False, True),
    ("? is any character", 'process.name : "s?h"', {"process.name": "ssh"}, True, False),
    ("wildcards do not ignore a newline", 'process.name : "ssh"', {"process.name": "ssh\n"}, False, True),
    ("a regex matches the complete text", 'process.name regex "ss"', {"process.name": "ssh"}, False, True),
    ("^ and $ are literal", 'process.name regex "^ssh$"', {"process.name": "ssh"}, False, True),
    ("@ is any text", 'process.name regex "s@"', {"process.name": "ssh"}, True, False),
    ("quotes in a regex", r'process.name regex "\"s*\""', {"process.name": "s*"}, True, False),
    ("\\n is n", r'process.name regex """a\nb"""', {"process.name": "anb"}, True, False),
    ("\\d is 0 to 9", r'process.name regex """\d"""', {"process.name": "\u0663"}, False, True),
    ("/ truncates towards 0", "process.exit_code / 2 == -3", {"process.exit_code": -7}, True, False),
    ("% has the sign of the dividend", "process.exit_code % 3 == -1", {"process.exit_code": -7}, True, False),
    ("% 0 is null", "process.pid % 0 == null", {"process.pid": 7}, True, ZeroDivisionError),
    ("between without a match", 'between(process.name, "(", ")") == ""', {"process.name": "x"}, True, False),
    ("between with an empty left side", 'between(process.name, "", ")") == "a)"', {"process.name": "a)"}, True, False),
    ("nothing contains the empty string", 'stringContains(process.name, "")', {"process.name": "x"}, False, True),
    ("indexOf with a negative start", 'indexOf(process.name, "s", -1) == 0', {"process.name": "ss"}, True, False),
    ("number ignores white space", "number(process.name) == 42", {"process.name": " 42 "}, True, False),
    ("1e3 is a number", "number(process.name) == 1000", {"process.name": "1e3"}, True, False),
    ("a.b is not a number", "number(process.name) == null", {"process.name": "a.b"}, True, ValueError),
    ("2a is a hexadecimal number", "number(process.name, 16) == 42", {"process.name": "2a"}, True, False),
    ("not an address", 'cidrMatch(source.ip, "10.0.0.0/8") == false', {"source.ip": "x"},
     True, ValueError),
    ("IPv4 in IPv6", 'cidrMatch(source.ip, "10.0.0.0/8")', {"source.ip": "::ffff:10.0.0.1"},
     True, False),
    ("notations of an address", 'source.ip == "::1"', {"source.ip": "0:0::1"}, True, False),
    ("an address in a block", 'source.ip == "10.0.0.0/8"', {"source.ip": "10.0.0.1"}, True, False),
    ("notations of a date", 'process.start == "2026-03-01T10:00:00Z"',
     {"process.start": "2026-03-01T11:00:00+01:00"}, True, False),
    ("a number as text", "process.pid == 22", {"process.pid": "22"}, True, False),
    ("a keyword is text", 'user.id == "1000"', {"user.id": 1000}, True, False),
    ("function names ignore case", "LENGTH(process.name) == 3", {"process.name": "ssh"},
     True, eql.EqlSemanticError),
]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "event", "our_result", "their_result"),
    [pytest.param(*difference[1:], id=difference[0]) for difference in DIFFERENCES],
)
def test_known_differences_from_python_eql(
    condition: str, event: Event, our_result: bool, their_result: bool | type[Exception]
) -> None:
    assert our_decision(condition)(event) is our_result
    if isinstance(their_result, bool):
        assert their_decision(condition)(event) is their_result is not our_result
    else:
        with pytest.raises(their_result):
            their_decision(condition)(event)


def test_python_eql_optimiser_merges_a_negated_comparison() -> None:
    condition, event = 'process.name in ("a", "b") or process.name != "z"', {"process.name": "x"}
    assert our_decision(condition)(event)
    assert their_decision(condition)(event)
    with elasticsearch_syntax:
        query = eql.parse_query(f"any where {condition}").first.query
    assert query.render() == 'process.name in ("a", "b", "z")'


def test_python_eql_reads_a_star_after_equals_as_wildcard() -> None:
    assert not our_decision('process.name == "s*"')({"process.name": "ssh"})
    query = eql.parse_query('any where process.name == "s*"').first.query
    assert query.render() == 'process.name == "s*"'
    assert PythonEngine().convert(query, scoped=True)(
        eql.Event("any", 0, {"process": {"name": "ssh"}})
    )


_CHARACTERS = "abAB-."
_TEXT_FIELDS = st.sampled_from(["process.name", "process.executable", "user.name"])
_WHOLE_FIELDS = st.sampled_from(["process.pid", "process.parent.pid"])
_SMALL = st.integers(0, 4)
_OFFSETS = st.integers(-4, 4)
_EVENTS: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("process.name", "process.executable", "user.name"), st.text(_CHARACTERS, max_size=5)
        ),
        "process.pid": st.integers(0, 9),
        "process.parent.pid": st.integers(0, 9),
        "process.args": st.lists(st.text(_CHARACTERS, max_size=2), min_size=1, max_size=2),
        "process.interactive": st.booleans(),
        "event.risk_score": st.integers(0, 8).map(lambda halves: halves / 2),
        "user.id": st.sampled_from(["42", "7", "-3", "0x1f", "1.5", "abc", ""]),
        "source.ip": st.sampled_from(["10.0.0.1", "10.9.9.9", "192.0.2.1", "::1", "fe80::1"]),
    },
)


def _quoted(text: str) -> str:
    return f'"{text}"'


_TEXTS = st.text(_CHARACTERS, max_size=3).map(_quoted)
_NONEMPTY_TEXTS = st.text(_CHARACTERS, min_size=1, max_size=2).map(_quoted)
_PATTERNS = st.text(f"{_CHARACTERS}**", max_size=4).map(_quoted)
_REGEXES = st.lists(
    st.sampled_from(
        [
            "a",
            "B",
            "[ab]",
            "[^a]",
            "(a|bb)",
            ".",
            "a+",
            "b*",
            "A?",
            "(ab){1,2}",
            r"\.",
            r"\d",
            r"\w",
        ]
    ),
    max_size=3,
).map(
    lambda pieces: f'"""({"".join(pieces)}).*"""'
)  # ends with `.*`, because the package anchors a regex only at the start


def _call(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return st.tuples(*arguments).map(lambda drawn: f"{name}({', '.join(map(str, drawn))})")


def _infix(
    left: st.SearchStrategy[str], operators: str, right: st.SearchStrategy[Any]
) -> st.SearchStrategy[str]:
    parts = st.tuples(left, st.sampled_from(operators.split()), right)
    return parts.map(lambda drawn: "({} {} {})".format(*drawn))


def _list_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    lists = st.lists(values, min_size=1, max_size=3)
    return lists.map(lambda items: f"({', '.join(map(str, items))})")


_WHOLE = st.recursive(
    st.one_of(_WHOLE_FIELDS, _call("length", _TEXT_FIELDS)),
    lambda inner: st.one_of(
        _infix(inner, "+ *", st.one_of(inner, _SMALL)),
        _infix(inner, "/ %", st.integers(1, 4)),
        _infix(inner, "/", _WHOLE_FIELDS),
        _call("add", inner, _SMALL),
        _call("length", _call("string", inner)),
    ),
    max_leaves=3,
)
"""Integers. None is negative, because the two implementations divide negative numbers differently."""
_TEXT = st.recursive(
    st.one_of(_TEXT_FIELDS, _call("string", _WHOLE), st.just("user.id")),
    lambda inner: st.one_of(
        _call("substring", inner, _OFFSETS),
        _call("substring", inner, _OFFSETS, _OFFSETS),
        _call("concat", inner, st.one_of(_TEXTS, _TEXT_FIELDS, _WHOLE_FIELDS)),
        _call("concat", _TEXTS, inner, _SMALL),
    ),
    max_leaves=3,
)


def _comparison_leaf(
    operands: st.SearchStrategy[str], operators: str, values: st.SearchStrategy[Any]
) -> st.SearchStrategy[Leaf]:
    def leaf(operand: str, operator: str, value: object) -> Leaf:
        negative = operator.startswith(("!=", "not"))
        return Leaf(f"{operand} {operator} {value}", (operand,), negative)

    return st.builds(leaf, operands, st.sampled_from(operators.split(", ")), values)


def _function_leaf(name: str, constants: st.SearchStrategy[str]) -> st.SearchStrategy[Leaf]:
    def leaf(operand: str, constant: str, ending: str) -> Leaf:
        return Leaf(f"{name}({operand}, {constant}){ending}", (operand,), ending == " == false")

    return st.builds(leaf, _TEXT, constants, st.sampled_from(["", " == true", " == false"]))


def _leaves(mark: str) -> st.SearchStrategy[Leaf]:
    """Return a strategy for conditions that are case-sensitive, or ignore case if `mark` is "~"."""
    find, between = f"indexOf{mark}", f"between{mark}"
    greedy = st.sampled_from(["false", "true"])
    numbers = st.one_of(
        _WHOLE,
        _infix(_WHOLE, "-", st.one_of(_WHOLE, _SMALL)),
        _WHOLE.map(lambda operand: f"(-{operand})"),
        _infix(st.just("event.risk_score"), "+ - * /", st.sampled_from([1, 0.5, 2])),
        _call(find, _TEXT, _NONEMPTY_TEXTS),
        _call(find, _TEXT, _NONEMPTY_TEXTS, _SMALL),
        _call("number", st.just("user.id")),
    )
    folded = st.sampled_from(['length("ab") * 2', 'number("0x3")', "7 / 2", "1 - 3"])
    equal, among, like = (":", "in~", "like~") if mark else ("==", "in", "like")
    return st.one_of(
        _comparison_leaf(
            numbers, "==, !=, <, <=, >, >=", st.one_of(_OFFSETS, st.just(1.5), folded)
        ),
        _comparison_leaf(numbers, "in, not in", _list_of(_OFFSETS)),
        _comparison_leaf(_TEXT, ":" if mark else "==, !=, <, <=, >, >=", _TEXTS),
        _comparison_leaf(_TEXT, f"{among}, not {among}", _list_of(_TEXTS)),
        _comparison_leaf(_TEXT, like, st.one_of(_PATTERNS, _list_of(_PATTERNS))),
        _comparison_leaf(_TEXT, f"regex{mark}", st.one_of(_REGEXES, _list_of(_REGEXES))),
        _comparison_leaf(
            _call(between, _TEXT, _NONEMPTY_TEXTS, _NONEMPTY_TEXTS, greedy), equal, _NONEMPTY_TEXTS
        ),
        _function_leaf(f"startsWith{mark}", _TEXTS),
        _function_leaf(f"endsWith{mark}", _TEXTS),
        _function_leaf(f"stringContains{mark}", _NONEMPTY_TEXTS),
        _function_leaf(f"wildcard{mark}", _PATTERNS),
        _function_leaf(f"match{mark}", _REGEXES),
        st.builds(
            lambda name, first, second: Leaf(f"{name}{mark}({first}, {second})", (first, second)),
            st.sampled_from(["startsWith", "endsWith"]),
            _TEXT,
            _TEXT_FIELDS,
        ),
        st.builds(lambda operand: Leaf(f"{operand} == null", ()), st.one_of(_TEXT, numbers)),
        st.builds(lambda operand: Leaf(f"{operand} != null", (), True), st.one_of(_TEXT, numbers)),
        st.sampled_from(
            [
                Leaf("process.interactive", ("process.interactive",)),
                Leaf("process.interactive == false", ("process.interactive",)),
                Leaf("process.args == null", ()),
                Leaf('cidrMatch(source.ip, "10.0.0.0/15", "fe80::/10")', ()),
                Leaf("1 + 1 == 2", ()),
            ]
        ),
    )


Condition: TypeAlias = Leaf | tuple[str, list[Any]]


def _conditions(leaves: st.SearchStrategy[Leaf]) -> st.SearchStrategy[Condition]:
    def larger(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        several = st.lists(inner, min_size=2, max_size=3)
        return st.one_of(
            st.tuples(st.sampled_from(["and", "or"]), several),
            st.tuples(st.just("not"), st.lists(inner, min_size=1, max_size=1)),
        )

    return st.recursive(leaves, larger, max_leaves=5)


def _to_eql(condition: Condition, *, below_not: bool = False) -> str:
    if isinstance(condition, Leaf):
        return condition.to_eql(below_not=below_not)
    word, parts = condition
    if word == "not":
        return f"not {_to_eql(parts[0], below_not=True)}"
    return f"({f' {word} '.join(_to_eql(part, below_not=below_not) for part in parts)})"


_LEAVES = {mark: _leaves(mark).filter(lambda leaf: len(leaf.fields) <= 3) for mark in ("", "~")}
_CONDITIONS = {mark: _conditions(leaves) for mark, leaves in _LEAVES.items()}


@pytest.mark.parametrize("mark", ["", "~"], ids=["case-sensitive", "ignoring case"])
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_generated_queries_match_as_in_python_eql(mark: str, data: st.DataObject) -> None:
    condition = _to_eql(data.draw(_CONDITIONS[mark]))
    ours, theirs = our_decision(condition), their_decision(condition, ignore_case=bool(mark))
    for event in data.draw(st.tuples(_EVENTS, _EVENTS)):
        assert ours(event) is theirs(event)


@pytest.mark.parametrize("mark", ["", "~"], ids=["case-sensitive", "ignoring case"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_condition_holds_if_any_value_matches(mark: str, data: st.DataObject) -> None:
    leaf = data.draw(_LEAVES[mark].filter(lambda leaf: leaf.compares_single_values))
    events = data.draw(st.tuples(_EVENTS, _EVENTS))
    values = {
        name: field_values
        for name in leaf.fields
        if (field_values := [event[name] for event in events if name in event])
    }
    singles = [dict(zip(values, single, strict=True)) for single in product(*values.values())]
    theirs = their_decision(leaf.text, ignore_case=bool(mark))
    assert our_decision(leaf.text)(values) is any(map(theirs, singles))
