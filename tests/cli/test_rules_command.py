"""`deckwatch rules`: list, enable and disable rules, and the effect on `deckwatch replay`."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.bootstrap import open_migrated_database
from app.settings import read_settings
from tests.factories import exec_event
from tests.processes import run

RULE = """[rule]
rule_id = "sample"
name = "A sample\\twith a tab"
description = "For tests."
severity = "low"
risk_score = 21
type = "eql"
language = "eql"
query = 'process where process.name == "sample"'
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder in which the commands run. Its folder `more` has a file with one rule."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "sample.toml").write_text(RULE)
    return tmp_path


def run_deckwatch(folder: Path, *args: str, stdin: bytes = b"", code: int = 0) -> tuple[str, str]:
    """Run `deckwatch` and return its stdout and stderr; fails unless the exit code is `code`."""
    ended = run(folder, *args, stdin=stdin, RULES="more")
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout, ended.stderr


def listed_state(folder: Path) -> str:
    """Return the state of the sample rule in `deckwatch rules list`.

    Check that its line has four fields, although the name of the rule contains a tab.
    """
    lines = [line.split("\t") for line in run_deckwatch(folder, "rules", "list")[0].splitlines()]
    (found,) = [line for line in lines if line[0] == "sample"]
    assert found[2:] == ["low", "A sample\\x09with a tab"]
    return found[1]


def count_replay_matches(folder: Path) -> int:
    """Replay one event that the sample rule matches; return the number of matches of this rule."""
    body = json.dumps(exec_event("sample")).encode()
    out, _ = run_deckwatch(folder, "replay", "-", stdin=body)
    return sum(json.loads(line)["rule"]["id"] == "sample" for line in out.splitlines())


def test_without_a_database_rule_files_decide_and_none_is_created(folder: Path) -> None:
    assert listed_state(folder) == "enabled"
    assert count_replay_matches(folder) == 1
    (folder / "more" / "sample.toml").write_text(RULE + "enabled = false\n")
    assert listed_state(folder) == "disabled"
    assert count_replay_matches(folder) == 0
    assert [path.name for path in folder.iterdir()] == ["more"]


def test_a_disabled_rule_does_not_match_in_a_replay(folder: Path) -> None:
    _, stderr = run_deckwatch(folder, "rules", "disable", "sample")
    assert stderr == "“A sample\\x09with a tab” is disabled.\n"
    assert (listed_state(folder), count_replay_matches(folder)) == ("disabled", 0)
    assert "is disabled already." in run_deckwatch(folder, "rules", "disable", "sample")[1]
    assert "is enabled." in run_deckwatch(folder, "rules", "enable", "sample")[1]
    assert (listed_state(folder), count_replay_matches(folder)) == ("enabled", 1)
    with closing(sqlite3.connect(folder / "deckwatch.db")) as connection:
        audit_rows = connection.execute("SELECT actor, action, address FROM audit_entry").fetchall()
    assert audit_rows == [
        ("command line", "rule.disabled", "local"),
        ("command line", "rule.enabled", "local"),
    ]


def test_an_unknown_rule_prints_one_error_and_creates_no_database(folder: Path) -> None:
    for command in ("enable", "disable"):
        _, stderr = run_deckwatch(folder, "rules", command, "no-such-rule", code=1)
        assert stderr == "deckwatch: There is no rule with this id, or it is not loaded.\n"
    assert not (folder / "deckwatch.db").exists()


def test_rules_list_counts_rule_file_problems(folder: Path) -> None:
    (folder / "more" / "broken.toml").write_text("broken")
    assert "1 problems in rule files" in run_deckwatch(folder, "rules", "list")[1]


def test_an_outdated_database_is_reported_and_not_changed(folder: Path) -> None:
    file = folder / "deckwatch.db"
    open_migrated_database(
        read_settings(database_url=f"sqlite:///{file}"), on_migrated=lambda _: None
    ).close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    _, stderr = run_deckwatch(folder, "rules", "list", code=1)
    assert "It is at revision 0001" in stderr
    assert "deckwatch db upgrade" in stderr
