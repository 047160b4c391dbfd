"""EQL semantics: the tables in `conformance/`, tested with every way to evaluate an event.

A table lists conditions or complete queries. Below each are events for which it `holds` and events for
which it `fails`, as JSON. A JSON object is a complete event with dotted field names. Any other JSON value
is an event with this value in the field that the last line in `[brackets]` names. The word `nothing` is an
event without that field. The tables in `refused/` list invalid queries, with a caret at the position of each
error and a part of its message.

The expected results come from Elasticsearch's documentation (EQL syntax and function references, regexp
syntax, term, wildcard, range and exists queries, mapping parameters `coerce` and `format`) and from its
tests of the translation of EQL to query DSL.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.detection.detector import Detector
from app.detection.eql.errors import InvalidQueryError
from app.detection.eql.query import compile_query
from app.detection.rule import BUNDLED_RULES_DIR, Rule, load_rules

TABLES = Path(__file__).parent / "conformance"
_HEADING = re.compile(r"\[(.+)]")
_ANSWER = re.compile(r"  (holds|fails)  (.*)")
_CARET = re.compile(r" *\^ (.+)")
_JSON = json.JSONDecoder()


@dataclass(frozen=True)
class Case:
    """A query of a table. `expected` maps events, as JSON texts with dotted names, to whether it matches."""

    place: str
    query: str
    expected: dict[str, bool]

    def __str__(self) -> str:
        return f"{self.place} {self.query}"


@dataclass(frozen=True)
class Refusal:
    """An invalid query. `expected_errors` has line, column and a part of the message of each error."""

    place: str
    query: str
    expected_errors: tuple[tuple[int, int, str], ...]

    def __str__(self) -> str:
        return f"{self.place} {self.query}"


def numbered_lines(table: Path) -> Iterator[tuple[str, str]]:
    lines = table.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.startswith("#"):
            yield f"{table.stem}:{number}", line


def read_cases(table: Path) -> Iterator[Case]:
    field, place = "", ""
    condition: list[str] = []
    expected: dict[str, bool] = {}
    for here, line in [*numbered_lines(table), ("", "[end]")]:
        heading, answer = _HEADING.fullmatch(line), _ANSWER.fullmatch(line)
        if answer:
            for event in map(json.dumps, events(field, answer[2])):
                assert event not in expected, f"{here}: {event} twice"
                expected[event] = answer[1] == "holds"
        elif line:
            if expected:
                text = "\n".join(condition)
                whole = re.search(r"\bwhere\b", text)
                yield Case(place, text if whole else f"any where {text}", expected)
                condition, expected = [], {}
            if heading:
                field = heading[1]
            else:
                place = here if not condition else place
                condition.append(line)


def events(field: str, text: str) -> Iterator[dict[str, object]]:
    while text:
        if text.startswith("nothing"):
            end = len("nothing")
            yield {}
        else:
            value, end = _JSON.raw_decode(text)
            yield value if isinstance(value, dict) else {field: value}
        text = text[end:]
        assert text in ("", ",") or text.startswith(", "), f"no comma before {text}"
        text = text.removeprefix(",").lstrip(" ")


def read_refusals(table: Path) -> Iterator[Refusal]:
    query: list[str] = []
    errors: list[tuple[int, int, str]] = []
    for place, line in [*numbered_lines(table), ("", "")]:
        if caret := _CARET.fullmatch(line):
            errors.append((len(query), line.index("^") + 1, caret[1]))
        elif line:
            query.append(line)
        elif query:
            yield Refusal(place or table.stem, "\n".join(query), tuple(errors))
            query, errors = [], []


def tables(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.txt"))


CASES = [case for table in tables(TABLES) for case in read_cases(table)]
REFUSALS = [case for table in tables(TABLES / "refused") for case in read_refusals(table)]


@cache
def any_rule() -> Rule:
    return load_rules([BUNDLED_RULES_DIR]).rules[0]


def rule(query: str) -> Rule:
    return replace(any_rule(), slug=query, query=query, tree=compile_query(query))


def nested(fields: dict[str, object]) -> dict[str, Any]:
    event: dict[str, Any] = {}
    for name, value in fields.items():
        *parents, last = name.split(".")
        node = event
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return event


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_query_matches_nested_dotted_and_decoded_events_alike(case: Case) -> None:
    detector = Detector([rule(case.query)])
    for event, expected in case.expected.items():
        document = nested(json.loads(event))
        results = {
            "nested": detector.match_json(json.dumps(document).encode()),
            "dotted": detector.match_json(event.encode()),
            "decoded": detector.match_document(document),
        }
        matches = detector.rules if expected else ()
        assert results == dict.fromkeys(results, matches), f"{case.query} for {event}"


def test_rules_compiled_together_match_as_each_compiled_alone() -> None:
    together = Detector([rule(case.query) for case in CASES])
    by_event: dict[str, list[tuple[str, bool]]] = {}
    for case in CASES:
        for event, expected in case.expected.items():
            by_event.setdefault(event, []).append((case.query, expected))
    for event, queries in by_event.items():
        document = nested(json.loads(event))
        for matches in (
            together.match_json(json.dumps(document).encode()),
            together.match_document(document),
        ):
            assert matches is not None, event
            slugs = {match.slug for match in matches}
            wrong = [query for query, expected in queries if (query in slugs) is not expected]
            assert not wrong, event


def test_the_tables_have_many_cases_and_no_query_twice() -> None:
    assert len({case.query for case in CASES}) == len(CASES)
    assert sum(len(case.expected) for case in CASES) >= 2_500
    assert len({refusal.query for refusal in REFUSALS}) == len(REFUSALS) >= 180


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_an_invalid_query_is_refused_with_every_line_and_column(refusal: Refusal) -> None:
    assert refusal.expected_errors
    with pytest.raises(InvalidQueryError) as raised:
        compile_query(refusal.query)
    errors = sorted(raised.value.errors, key=lambda error: (error.line, error.column))
    assert [(error.line, error.column) for error in errors] == [
        (line, column) for line, column, _ in refusal.expected_errors
    ], [error.message for error in errors]
    for error, (_, _, part) in zip(errors, refusal.expected_errors, strict=True):
        assert part in error.message
