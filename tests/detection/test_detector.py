"""`Detector`: `match_json` and `match_document` find the same rules.

The file is long because the two methods could differ in many ways.
"""

import json
import re
import sys
from dataclasses import replace
from textwrap import dedent
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.detection.codegen import generator
from app.detection.codegen.blocks import MIN_RULES_FOR_JOINT_INDEX
from app.detection.detector import Detector
from app.detection.eql.query import compile_query
from app.detection.explain import explain
from app.detection.rule import BUNDLED_RULES_DIR, Rule, load_rules

(OURS,) = [
    rule for rule in load_rules([BUNDLED_RULES_DIR]).rules if rule.slug == "ssh_in_container"
]


def rule(query: str) -> Rule:
    return replace(OURS, query=query, tree=compile_query(query), slug=query)


def detector(*queries: str, **options: Any) -> Detector:
    return Detector([rule(query) for query in queries], **options)


def matched_slugs(detector: Detector, raw: bytes) -> list[str] | None:
    matches = detector.match_json(raw)
    return None if matches is None else [rule.slug for rule in matches]


START = b'{"event":{"category":["process"]},"process":{"name":"ssh","pid":7}}'


def test_all_matching_rules_are_returned_in_rule_order() -> None:
    queries = ["any where true", "process where process.pid == 8", 'any where process.name : "S*"']
    assert matched_slugs(detector(*queries), START) == [queries[0], queries[2]]


def test_a_detector_without_rules_matches_nothing() -> None:
    assert Detector([]).match_json(START) == ()
    assert Detector([]).match_document({}) == ()


DEEP = 'any where process.entry_leader.entry_meta.type == "container"'


@pytest.mark.parametrize(
    "event",
    [
        {"process": {"entry_leader": {"entry_meta": {"type": "container"}}}},
        {"process.entry_leader.entry_meta.type": "container"},
        {"process": {"entry_leader.entry_meta.type": "container"}},
        {"process": {"entry_leader.entry_meta": {"type": "container"}}},
        {"process.entry_leader": {"entry_meta.type": "container"}},
        {"process.entry_leader.entry_meta": {"type": ["container"]}},
        {"process": {"entry_leader": {"entry_meta": {"type": ["sshd", None, "container"]}}}},
        {"process": {"entry_leader.entry_meta": None, "entry_leader": {"entry_meta": None}},
         "process.entry_leader": {"entry_meta": {"type": "container"}}},
        {"process": {"entry_leader": {"entry_meta": {"type": "sshd"}}},
         "process.entry_leader.entry_meta.type": "container"},
    ],
)  # fmt: skip
def test_nested_and_dotted_keys_are_read_by_the_partial_decoder(event: dict[str, object]) -> None:
    assert matched_slugs(detector(DEEP), json.dumps(event).encode()) == [DEEP]


def test_escapes_in_keys_are_read_by_the_partial_decoder() -> None:
    raw = rb'{"proc\u0065ss":{"entry_leader\u002eentry_meta":{"type":"cont\u0061iner"}}}'
    assert matched_slugs(detector(DEEP), raw) == [DEEP]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b'"ssh"',
        b"{'a':1}",
        START + b",",
        START.replace(b"ssh", b"\xff"),
        START.replace(b"ssh", rb"\ud800"),
        START.replace(b"7", b"NaN"),
        START.replace(b"7", b"1e999"),
        START.replace(b"7", b"9" * 5_000),
        START.replace(b"7", b"[[7]]"),
        START.replace(b"7", b'{"value":7}'),
        START.replace(b'{"name":"ssh","pid":7}', b'[{"name":"ssh"}]'),
        START.replace(b'{"name":"ssh","pid":7}', b'"ssh"'),
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"process":' * 200_000,
        b'{"process":{"name":' + b"[" * 200_000,
        START.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + START,
    ],
)
def test_undecodable_or_unexpected_json_is_undecided(raw: bytes) -> None:
    queries = 'process where process.name == "ssh"', "any where process.pid == 7"
    assert matched_slugs(detector(*queries), raw) is None


@pytest.mark.parametrize("value", [b"1", b"null", b'"x"', b"[]", b'{"process":{}}'])
def test_an_event_with_a_marker_of_another_format_is_undecided(value: bytes) -> None:
    ecs_only = detector("any where true", non_ecs_keys=["_source", "process"])
    assert matched_slugs(ecs_only, b'{"a":1}') == ["any where true"]
    assert matched_slugs(ecs_only, b'{"a":1,"_source":%b}' % value) is None
    assert matched_slugs(ecs_only, b'{"process":%b}' % value) is None


def test_the_first_ecs_marker_field_outweighs_markers_of_other_formats() -> None:
    with_markers = detector(
        "any where true",
        non_ecs_keys=["_source"],
        ecs_marker_fields=["event.category", "event.kind"],
    )
    assert matched_slugs(with_markers, b'{"_source":1,"event":{"category":["process"]}}') == [
        "any where true"
    ]
    assert matched_slugs(with_markers, b'{"_source":1,"event":{"category":[]}}') is None
    assert matched_slugs(with_markers, b'{"_source":1,"event":{"kind":"event"}}') is None
    assert matched_slugs(with_markers, b'{"event":{"kind":"event"}}') == ["any where true"]


def test_a_marker_may_be_a_field_that_rules_read() -> None:
    both = detector('any where process.name == "ssh"', non_ecs_keys=["process", "process.name"])
    assert matched_slugs(both, START) is None
    assert matched_slugs(both, b'{"process.name":"ssh"}') is None
    assert matched_slugs(both, b"{}") == []


@pytest.mark.parametrize(
    ("raw", "is_ecs"),
    [
        (b'{"event":{"kind":"event"}}', True),
        (b'{"event.kind":"event"}', True),
        (b'{"event":{"type":["start"]}}', True),
        (b'{"event":{"kind":null}}', False),
        (b'{"event.kind":null}', False),
        (b'{"event":{"module":"x"}}', False),
        (b"{}", False),
        (b'{"process":{"name":"ssh"}}', False),
    ],
)
def test_an_event_without_an_ecs_marker_field_is_undecided(raw: bytes, is_ecs: bool) -> None:
    strict = detector("any where true", ecs_marker_fields=["event.kind", "event.type"])
    assert matched_slugs(strict, raw) == (["any where true"] if is_ecs else None)


def test_a_field_name_may_be_the_prefix_of_another() -> None:
    both = detector('any where ?a == "x"', 'any where ?a.b == "x"', "any where ?a != null")
    assert matched_slugs(both, b'{"a":"x","a.b":"x"}') == ['any where ?a == "x"', 'any where ?a.b == "x"',
                                                     "any where ?a != null"]  # fmt: skip
    assert matched_slugs(both, b'{"a":{"b":"x"}}') == ['any where ?a.b == "x"']
    assert matched_slugs(both, b'{"a":["y"]}') == ["any where ?a != null"]


def test_generated_source_has_rule_text_in_comments_only() -> None:
    query = 'any where ?`x y` == "import os\\n#" and process.name : ("a*", "b")'
    source = detector(query).generated_source()
    compile(source, "<source>", "exec")
    code = [line for line in source.split("\n") if not line.startswith("#")]
    assert not any("import" in line or '"' in line or "x y" in line for line in code)
    assert "f0_x_y" in source
    assert any("import os" in line for line in source.split("\n") if line.startswith("# q"))


def test_the_example_in_the_generator_docstring_is_the_real_source() -> None:
    lines = (generator.__doc__ or "").split("\n")
    example = dedent("\n".join(line for line in lines if line.startswith("    ") or not line))
    query, source = example.strip().split("\n", 1)
    (slug,) = re.findall("# 0: '(.+)'", source)
    real_source = Detector([replace(rule(query), slug=slug)]).generated_source()
    assert source.strip() == real_source.strip()


def test_the_deepest_allowed_nesting_can_be_compiled() -> None:
    alternating = "(?a and not (?b or " * 16 + "?c" + "))" * 16
    assert matched_slugs(detector(f"any where {alternating}"), b"{}") == []


_SCALARS = st.one_of(
    st.sampled_from(["x", "X", "y", "", "1", "true"]),
    st.sampled_from([0, 1, -1, 2**63, 2**70, 1.0, 1.5, 1e30]),
    st.booleans(),
    st.none(),
)
_KEYS = st.sampled_from(["a", "b", "c", "a.b", "b.c", "a.b.c", "a.", "", ".b", "z", "_source"])
_EVENTS = st.recursive(
    st.one_of(_SCALARS, st.lists(_SCALARS, max_size=3)),
    lambda inner: st.one_of(st.dictionaries(_KEYS, inner, max_size=4), st.lists(inner, max_size=2)),
    max_leaves=12,
)
_QUERIES = [
    'any where ?a.b.c == "x"',
    'any where ?a.b.c : "x*" and ?b != "y"',
    'any where not ?a.b.c in ("x", "y") or ?c.a == "1"',
    "any where ?a.b != null",
    "any where ?a == null and ?b.c == null",
    "any where ?a.c == true",
    "any where ?a.c > 0 or ?b.c == 1180591620717411303424",
    'any where ?b.c < "y"',
    "a where true",
]
_FAST = detector(*_QUERIES)
_FAST_WITH_MARKERS = detector(
    *_QUERIES, non_ecs_keys=["_source", "z"], ecs_marker_fields=["a.b.c", "b"]
)


@given(st.dictionaries(_KEYS, _EVENTS, max_size=5))
@example({"a": {"b": {"c": ["x"]}, "b.c": "x"}, "a.b": {"c": None}, "a.b.c": 1})
@example({"a": {"b.c": {}}, "a.b.c": "x"})
def test_match_json_agrees_with_match_document_or_returns_none(event: dict[str, object]) -> None:
    raw = json.dumps(event).encode()
    expected = [rule.slug for rule in _FAST.match_document(json.loads(raw))]
    for fast in (_FAST, _FAST_WITH_MARKERS):
        assert matched_slugs(fast, raw) in (expected, None)


_LEAVES = detector('any where ?d.a.b.c == "x"', "any where ?d.a.c > 0", "any where ?d.b != null")


@given(st.lists(st.tuples(st.sampled_from(["a.b.c", "a.c", "b"]), _SCALARS), max_size=3), st.data())
def test_every_split_of_dotted_names_is_decided(
    fields: list[tuple[str, object]], data: st.DataObject
) -> None:
    event: dict[str, Any] = {}
    for name, value in fields:
        node, parts = event, ["d", *name.split(".")]
        while parts:
            length = data.draw(st.integers(1, len(parts)))
            key, parts = ".".join(parts[:length]), parts[length:]
            node = node.setdefault(key, {}) if parts else node.setdefault(key, value) and {}
    matches = _LEAVES.match_json(json.dumps(event).encode())
    assert matches == _LEAVES.match_document(event)


@given(st.binary(max_size=60), st.integers(0, len(START)), st.integers(0, len(START)))
def test_match_json_never_raises(inserted: bytes, start: int, end: int) -> None:
    _FAST.match_json(inserted)
    _FAST_WITH_MARKERS.match_json(START[:start] + inserted + START[end:])


def test_1_and_1_0_and_true_are_different_constants() -> None:
    queries = [
        f'any where concat(process.name, {value}) == "ssh{value}"' for value in ("1", "1.0", "true")
    ]
    assert matched_slugs(detector(*queries), START) == queries


def test_rules_sharing_an_or_condition_are_decided_correctly() -> None:
    either = '(process.name == "ssh" or process.name == "b")'
    queries = [f"any where {either} and process.pid == {pid}" for pid in (7, 8)]
    queries += [f"any where {either}", f'any where ({either} or process.name : "c*")']
    assert matched_slugs(detector(*queries), START) == [queries[0], queries[2], queries[3]]


def test_a_joint_index_runs_only_the_blocks_of_possible_rules() -> None:
    queries = [
        f'any where process.name == "n{number}" or process.args : "a{number}*"'
        for number in range(MIN_RULES_FOR_JOINT_INDEX)
    ]
    joint = detector(*queries)

    def blocks_run(process: dict[str, object]) -> tuple[int, list[str] | None]:
        blocks: set[str] = set()

        def record_block(frame: FrameType, _event: str, _argument: object) -> None:
            if "_block" in frame.f_code.co_name:
                blocks.add(frame.f_code.co_name)

        raw = json.dumps({"event": {"category": "process"}, "process": process}).encode()
        sys.setprofile(record_block)
        try:
            slugs = matched_slugs(joint, raw)
        finally:
            sys.setprofile(None)
        return len(blocks), slugs

    assert blocks_run({"name": "sh", "args": ["sh", "-c", "b1"]}) == (0, [])
    assert blocks_run({"name": "n1", "args": ["sh", "-c", "a1 b"]}) == (1, [queries[1]])
    assert blocks_run({"name": "n1", "args": ["a2"]}) == (2, queries[1:3])
    assert blocks_run({"args": ["a2"]}) == (1, [queries[2]])


BULK = json.dumps(
    {
        "event": {"category": "process"},
        "process": {"args": ["a"] * 400, "env_vars": ["b"] * 400, "name": ["x"] * 30_000},
    }
).encode()


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("startsWith(process.args, process.env_vars)", True),
        ("not startsWith(process.args, process.env_vars)", True),
        ('concat(process.args, process.env_vars) != "c"', True),
        ('not (process.pid == 1 or not concat(process.args, process.env_vars) == "c")', True),
        ("length(process.name) == 99", False),  # a condition with one field has no limit
        ("not length(process.name) == 1", False),
    ],
)
def test_an_event_with_too_many_value_combinations_matches(condition: str, expected: bool) -> None:
    query = f"process where {condition}"
    assert bool(matched_slugs(detector(query), BULK)) is expected
    explained = explain(rule(query), json.loads(BULK))
    assert explained.matches is expected


@pytest.mark.parametrize("sign", ["0.0", "-0.0"])
def test_zero_and_negative_zero_are_different_constants(sign: str) -> None:
    queries = [f'any where concat(process.name, {zero}) == "ssh{sign}"' for zero in ("0.0", "-0.0")]
    (slug,) = matched_slugs(detector(*queries), START) or [""]
    assert f", {sign})" in slug


def test_rules_that_share_hundreds_of_conditions_are_compiled() -> None:
    shared = " and ".join(f'(?x.a{n} == "a" or ?x.a{n} == "b")' for n in range(300))
    queries = [f"any where {shared} and process.pid == {pid}" for pid in (1, 7)]
    event = {"x": {f"a{n}": "ab"[n % 2] for n in range(300)}, "process": {"pid": 7}}
    assert matched_slugs(detector(*queries), json.dumps(event).encode()) == [queries[1]]


def test_an_event_with_half_a_million_arguments_is_decided() -> None:
    """Evaluating each argument separately would take microseconds per argument, too long for this event."""
    (forward_rule,) = load_rules([BUNDLED_RULES_DIR / "ssh_forward_in_container.toml"]).rules
    event = json.loads(START) | {"container": {"id": "c"}}
    event["event"] |= {"type": "start", "action": "exec"}
    event["host"] = {"os": {"type": "linux"}}
    event["process"]["args"] = ["ssh", *["a"] * 500_000, "-R", "8080:db:80", "web"]
    matches = Detector([forward_rule]).match_json(json.dumps(event).encode())
    assert matches == (forward_rule,)
