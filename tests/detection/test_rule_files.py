"""Rule files: which of them load, and the problems reported for the others.

The file is long because it has a case for each mistake that Deckwatch reports.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.detection.rule import BUNDLED_RULES_DIR, MAX_FILE_BYTES, load_rules
from app.detection.rule_tests import run_tests
from app.domain.severity import Severity

ELASTIC_RULE = """\
[metadata]
creation_date = "2024/01/01"
integration = ["endpoint"]
maturity = "production"

[rule]
author = ["A vendor"]
description = "Says little."
false_positives = ["Backups."]
from = "now-9m"
index = ["logs-endpoint.events.*", "auditbeat-*"]
language = "eql"
license = "Some licence"
max_signals = 33
name = "A shell from a web server"
note = \"\"\"## Triage and analysis

#### Possible investigation steps

- Look.

### Response and remediation

- Act.
\"\"\"
risk_score = 73
rule_id = "0c3a1c7e-6e0b-4d49-9d0a-0f6d4b7a6d11"
setup = "Install it."
severity = "high"
tags = ["OS: Linux"]
timestamp_override = "event.ingested"
type = "eql"
query = '''
process where event.type == "start" and
  process.name : "*sh"
'''

[[rule.threat]]
framework = "MITRE ATT&CK"

[[rule.threat.technique]]
id = "T1059"
name = "Command and Scripting Interpreter"
reference = "https://attack.mitre.org/techniques/T1059/"

[[rule.threat.technique.subtechnique]]
id = "T1059.004"
name = "Unix Shell"
reference = "https://attack.mitre.org/techniques/T1059/004/"

[rule.threat.tactic]
id = "TA0002"
name = "Execution"
reference = "https://attack.mitre.org/tactics/TA0002/"
"""
MINIMAL_RULE = """\
[rule]
rule_id = "smallest"
name = "Smallest"
description = "d"
severity = "low"
risk_score = 0
type = "eql"
language = "eql"
query = "any where true"
"""


def write_file(folder: Path, text: str | bytes, name: str = "r.toml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def load_problems(folder: Path, text: str | bytes) -> list[str]:
    """Load a rule file with this content; return its problems, without the folder in their paths."""
    result = load_rules([write_file(folder, text)])
    assert not result.rules
    return [str(problem).removeprefix(f"{folder}/") for problem in result.problems]


def test_an_elastic_rule_file_loads_unchanged(tmp_path: Path) -> None:
    result = load_rules([write_file(tmp_path, ELASTIC_RULE, "web_shell.toml")])
    assert not result.problems
    (rule,) = result.rules
    assert (rule.slug, rule.severity, rule.risk_score) == ("web_shell", Severity.HIGH, 73)
    assert rule.id == "0c3a1c7e-6e0b-4d49-9d0a-0f6d4b7a6d11"
    assert (rule.setup, rule.false_positives, rule.tags) == (
        "Install it.",
        ("Backups.",),
        ("OS: Linux",),
    )
    assert [step.markdown for step in rule.guide.triage.steps] == ["Look."]
    assert [step.markdown for step in rule.guide.response.steps] == ["Act."]
    (threat,) = rule.threats
    assert (threat.tactic.id, threat.tactic.name) == ("TA0002", "Execution")
    assert [technique.id for technique in threat.techniques] == ["T1059"]
    assert [below.id for below in threat.techniques[0].subtechniques] == ["T1059.004"]
    assert rule.enabled
    assert rule.tests == ()


def test_optional_keys_may_be_left_out(tmp_path: Path) -> None:
    (rule,) = load_rules([write_file(tmp_path, MINIMAL_RULE)]).rules
    assert (rule.note, rule.setup, rule.threats, rule.references) == ("", "", (), ())


def test_a_rule_file_may_disable_its_rule(tmp_path: Path) -> None:
    (rule,) = load_rules([write_file(tmp_path, MINIMAL_RULE + "enabled = false\n")]).rules
    assert not rule.enabled


def test_an_error_in_a_single_line_query_has_its_column(tmp_path: Path) -> None:
    text = MINIMAL_RULE.replace('"any where true"', r'"any where usr.name == \"x\" and zork"')
    assert load_problems(tmp_path, text) == [
        "r.toml:9:20: unknown field 'usr.name'; did you mean 'user.name'?",
        "r.toml:9:42: unknown field 'zork'; write '?zork' if agents send it",
    ]


def test_an_error_in_a_multi_line_query_has_its_line_and_column(tmp_path: Path) -> None:
    text = ELASTIC_RULE.replace('process.name : "*sh"', "usr.name == 1")
    line = text.split("\n").index("  usr.name == 1") + 1
    assert load_problems(tmp_path, text) == [
        f"r.toml:{line}:3: unknown field 'usr.name'; did you mean 'user.name'?"
    ]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sequence by a [any where true]", "9:10: 'sequence' correlates several events"),
        ("any where true | head 1", "9:25: pipes are not supported"),
        ("any where lenght(?a) > 1", "9:20: unknown function 'lenght'; did you mean 'length'?"),
        ("any where " + "not " * 99 + "true", "9:220: conditions are nested more than"),
    ],
)
def test_an_unsupported_query_is_reported_with_line_and_column(
    tmp_path: Path, query: str, problem: str
) -> None:
    (found,) = load_problems(tmp_path, MINIMAL_RULE.replace("any where true", query))
    assert found.startswith(f"r.toml:{problem}")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('name = "Smallest"\n', "", "1:2: 'rule.name' is missing"),
        ('name = "Smallest"', 'name = " "', "3:1: 'rule.name' must be a non-empty string"),
        ('name = "Smallest"', "name = 3", "3:1: 'rule.name' must be a string"),
        ('"low"', '"awful"', "5:1: 'rule.severity' must be 'low', 'medium', 'high' or"),
        ('"low"', "[]", "5:1: 'rule.severity' must be 'low', 'medium'"),
        ("= 0", "= 101", "6:1: 'rule.risk_score' must be less than or equal to 100"),
        ("= 0", "= 1.5", "6:1: 'rule.risk_score' must be a whole number"),
        ("= 0", "= true", "6:1: 'rule.risk_score' must be a whole number"),
        ('"smallest"', '"a b"', "2:1: 'rule.rule_id' must be a UUID, or"),
        ('"smallest"', '"../x"', "2:1: 'rule.rule_id' must be a UUID, or"),
        ('language = "eql"', 'language = "kuery"', "8:1: 'rule.language' must be 'eql'"),
        ('type = "eql"', 'type = "threshold"', "7:1: 'rule.type' must be 'eql'"),
        ("[rule]", "note = 1\n[rule]\nnote = 1", "3:1: 'rule.note' must be a string"),
        (
            "[rule]",
            "[rule]\ntags = [1]",
            "2:1: 'rule.tags[0]' must be a string",
        ),
        ("[rule]", "[rule]\nreferences = [1]", "2:1: 'rule.references[0]' must be a string"),
        ("[rule]", '[rule]\nenabled = "no"', "2:1: 'rule.enabled' must be true or false"),
        ("[rule]", "[rule]\nthreat = 3", "2:1: 'rule.threat' must be an array"),
        ("[rule]", "[rule]\nthreat = [3]", "2:1: 'rule.threat[0]' must be a table"),
        ("[rule]", "[rule]\nthreat = [{}]", "2:1: 'rule.threat[0].tactic' is missing"),
        ("[rule]", "rule = 1\n[other]", "1:1: 'rule' must be a table"),
        ("[rule]", "[other]", "1:1: 'rule' is missing"),
    ],
)
def test_an_invalid_key_is_reported_with_its_position(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert old in MINIMAL_RULE
    assert load_problems(tmp_path, MINIMAL_RULE.replace(old, new, 1))[0].startswith(
        f"r.toml:{problem}"
    )


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        ('name = "t"\nmatches = true', "10:3: 'test[0].event' is missing"),
        ('name = "t"\nevent = {}', "10:3: 'test[0].matches' is missing"),
        ('name = "t"\nmatches = true\nevent = 3', "13:1: 'test[0].event' must be a table, or a"),
        ('name = "t"\nmatches = true\nevent = "[]"', "13:1: 'test[0].event' must be a table, or"),
        ('name = "t"\nmatches = true\nevent = "{"', "13:1: 'test[0].event' must be a table, or a"),
        (
            'name = "t"\nmatch = true\nmatches = true\nevent = {}',
            "12:1: 'test[0].match' is an unknown key of a test",
        ),
    ],
)
def test_an_invalid_test_table_is_reported_with_its_position(
    tmp_path: Path, test: str, problem: str
) -> None:
    (found,) = load_problems(tmp_path, f"{MINIMAL_RULE}[[test]]\n{test}\n")
    assert found.startswith(f"r.toml:{problem}")


def test_problems_are_reported_in_line_order(tmp_path: Path) -> None:
    text = (
        MINIMAL_RULE.replace('"low"', '"?"').replace("= 0", "= -1").replace("true", "a == 1 or b")
    )
    lines = [line.split(":")[1] for line in load_problems(tmp_path, text)]
    assert lines == ["5", "6", "9", "9"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "1:1: 'rule' is missing"),
        (b"[rule]\nname = \xff", "2: not UTF-8"),
        (b"\x00\x01\x02", "1:1: not TOML"),
        (b"[rule]\nname == 1", "2:7: not TOML"),
        (b"\xef\xbb\xbf[rule]", "1:1: not TOML"),
        (b"a = " + b"[" * 50_000, "1: arrays or tables are nested too deeply"),
        (b"a = " + b"1" * 5_000, "1: not TOML"),
        (b"#" * (MAX_FILE_BYTES + 1), "1: larger than 1,048,576 bytes"),
    ],
)
def test_an_unreadable_file_is_reported(tmp_path: Path, content: bytes, problem: str) -> None:
    (found,) = load_problems(tmp_path, content)
    assert found.startswith(f"r.toml:{problem}")


def test_valid_files_load_beside_broken_ones(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    write_file(tmp_path, "[", "a.toml")
    write_file(tmp_path, MINIMAL_RULE, "b.toml")
    write_file(tmp_path / "deeper", ELASTIC_RULE, "c.toml")
    write_file(tmp_path, "no rule", "notes.txt")
    (tmp_path / "folder.toml").mkdir()
    result = load_rules([tmp_path, tmp_path / "absent.toml"])
    assert [rule.slug for rule in result.rules] == ["b", "c"]
    assert [problem.path.name for problem in result.problems] == [
        "a.toml",
        "folder.toml",
        "absent.toml",
    ]


def test_a_duplicate_rule_id_is_refused(tmp_path: Path) -> None:
    first = write_file(tmp_path, MINIMAL_RULE, "a.toml")
    write_file(tmp_path, MINIMAL_RULE, "b.toml")
    result = load_rules([tmp_path])
    assert [rule.path for rule in result.rules] == [first]
    (problem,) = result.problems
    assert str(problem).endswith(
        f"b.toml:2:1: 'rule.rule_id' smallest is already the id of the rule in {first}"
    )


def test_a_path_given_twice_is_loaded_once(tmp_path: Path) -> None:
    path = write_file(tmp_path, MINIMAL_RULE)
    assert not load_rules([path, path]).problems


@pytest.fixture
def not_root() -> Iterator[None]:
    """Run the test as the user id 65534 if it runs as root, because root can read every file."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


def test_a_file_without_read_permission_is_reported(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = write_file(tmp_path, MINIMAL_RULE)
    path.chmod(0)
    request.getfixturevalue("not_root")
    (problem,) = load_rules([path]).problems
    assert problem.message == "Permission denied"


def test_a_failed_test_event_is_reported(tmp_path: Path) -> None:
    text = MINIMAL_RULE.replace("any where true", "process where process.pid > 1") + (
        '[[test]]\nname = "right"\nmatches = true\n'
        '[test.event]\n"event.category" = "process"\nprocess.pid = 2\n'
        '[[test]]\nname = "wrong"\nmatches = true\n'
        'event = \'{"event": {"category": "process"}, "process": [{"pid": 1}]}\'\n'
        '[[test]]\nname = "wrong too"\nmatches = false\n'
        'event = \'{"event": {"category": "process"}, "process": [{"pid": 2}]}\'\n'
    )
    (rule,) = load_rules([write_file(tmp_path, text)]).rules
    problems = [str(problem).removeprefix(f"{tmp_path}/") for problem in run_tests(rule)]
    assert problems == [
        "r.toml:16: test 'wrong' does not match but should",
        "r.toml:20: test 'wrong too' matches but should not",
    ]


SSH_RULE_FILE = (BUNDLED_RULES_DIR / "ssh_in_container.toml").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(SSH_RULE_FILE)),
            st.integers(0, 40),
            st.one_of(st.binary(max_size=4), st.sampled_from([b'"', b"'''", b"[[", b"\n", b"="])),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_loading_survives_any_mutation_of_a_file(
    tmp_path: Path, cuts: list[tuple[int, int, bytes]]
) -> None:
    content = SSH_RULE_FILE
    for at, length, put in cuts:
        content = content[:at] + put + content[at + length :]
    result = load_rules([write_file(tmp_path, content)])
    assert len(result.rules) == 1 or result.problems
    lines = content.count(b"\n") + 1
    assert all(1 <= problem.line <= lines for problem in result.problems)
