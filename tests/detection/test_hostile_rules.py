"""Hostile rule files: each is refused or loaded quickly. A test that does not end counts as failed."""

from pathlib import Path

import pytest

from app.detection.detector import Detector
from app.detection.explain import explain, format_values
from app.detection.rule import load_rules

NINES = "9" * 290
FILE = """[rule]
rule_id = "x"
name = "n"
description = "d"
severity = "low"
risk_score = 1
type = "eql"
language = "eql"
query = '''%s'''
"""


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ('any where ?`.a` == "x"', "a part of this field name is empty"),
        ('any where ?`a.` == "x"', "a part of this field name is empty"),
        ('any where process.start > "9999-12-31T23:59:59-01:00"', "write the full date and time"),
        ('any where process.start > "0001-01-01T00:00:00+01:00"', "write the full date and time"),
        ("any where " + " or ".join(f"usr.n{n} == 1" for n in range(900)), "unknown field"),
        ("any where " + " or ".join(['process.pid == "x"'] * 1_900), "is a number"),
        ("any where " + " or ".join(["process.pid == 1"] * 3_000), "at most 2,000 conditions"),
        (
            f"any where process.pid > {NINES} * {NINES}",
            "null can only be compared with '==' and '!='",
        ),
        (
            'any where process.command_line regex ".*a.{1,999}b.{1,999}c.{1,999}d"',
            "too many repetitions",
        ),
        ("/" * 200 + "\nprocess where", "ends unexpectedly"),
        ("// " + "// a " * 100 + "\n/**/" * 100 + "\nsequence", "correlates several events"),
    ],
)
def test_an_expensive_or_invalid_query_is_refused_with_a_reason(
    tmp_path: Path, query: str, problem: str
) -> None:
    path = tmp_path / "r.toml"
    path.write_text(FILE % query)
    loaded = load_rules([path])
    assert loaded.rules == ()
    assert problem in loaded.problems[0].message
    assert len(loaded.problems) <= 20


def test_a_key_with_thousands_of_parts_is_refused_before_parsing(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("# first\na" + ".a" * 60_000 + " = 1\n" + FILE % "any where true")
    (problem,) = load_rules([path]).problems
    assert (problem.line, problem.message) == (2, "a key has more than 50 parts")


@pytest.mark.parametrize(
    "query",
    [
        f"any where process.pid == {NINES} * {NINES}",
        "any where process.name == " + " * ".join([NINES] * 17),
        "any where process.pid * process.pid > 5",
        'any where string(process.pid * process.parent.pid) : "*x*"',
    ],
)
def test_numbers_beyond_the_limit_are_null(tmp_path: Path, query: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(FILE % query)
    (rule,) = load_rules([path]).rules
    huge = int("9" * 4_000)
    event: dict[str, object] = {"process": {"pid": [huge] * 50, "parent": {"pid": [huge] * 50}}}
    explanation = explain(rule, event)
    assert explanation.matches is bool(Detector([rule]).match_document(event))
    assert all(format_values(clause.results) for clause in explanation.root.decisive_clauses())
