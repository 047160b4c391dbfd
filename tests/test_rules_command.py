"""Rules on the command line: listed, enabled, disabled, and obeyed by a replay."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.settings import read_settings
from app.setup import opened
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
    """Commands run here; `more` has one rule."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "sample.toml").write_text(RULE)
    return tmp_path


def deckwatch(folder: Path, *words: str, stdin: bytes = b"", code: int = 0) -> tuple[str, str]:
    """What it said on stdout and on stderr; the exit code is checked."""
    ended = run(folder, *words, stdin=stdin, RULES="more")
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout, ended.stderr


def state(folder: Path) -> str:
    """Of the sample rule, as the list says; the line has four fields, whatever the name holds."""
    lines = [line.split("\t") for line in deckwatch(folder, "rules", "list")[0].splitlines()]
    (found,) = [line for line in lines if line[0] == "sample"]
    assert found[2:] == ["low", "A sample\\x09with a tab"]
    return found[1]


def replayed(folder: Path) -> int:
    """How many matches of the sample rule a replay finds in one event that fits it."""
    body = json.dumps(exec_event("sample")).encode()
    out, _ = deckwatch(folder, "replay", "-", stdin=body)
    return sum(json.loads(line)["rule"]["id"] == "sample" for line in out.splitlines())


def test_without_a_database_rules_go_by_their_files_and_none_is_made(folder: Path) -> None:
    assert state(folder) == "enabled"
    assert replayed(folder) == 1
    (folder / "more" / "sample.toml").write_text(RULE + "enabled = false\n")
    assert state(folder) == "disabled"
    assert replayed(folder) == 0
    assert [path.name for path in folder.iterdir()] == ["more"]


def test_a_rule_is_disabled_and_enabled_and_a_replay_follows(folder: Path) -> None:
    _, said = deckwatch(folder, "rules", "disable", "sample")
    assert said == "“A sample\\x09with a tab” is disabled.\n"
    assert (state(folder), replayed(folder)) == ("disabled", 0)
    assert "is disabled already." in deckwatch(folder, "rules", "disable", "sample")[1]
    assert "is enabled." in deckwatch(folder, "rules", "enable", "sample")[1]
    assert (state(folder), replayed(folder)) == ("enabled", 1)
    with closing(sqlite3.connect(folder / "deckwatch.db")) as connection:
        told = connection.execute("SELECT actor, action, address FROM audit_entry").fetchall()
    assert told == [
        ("command line", "rule.disabled", "local"),
        ("command line", "rule.enabled", "local"),
    ]


def test_an_unknown_rule_is_one_sentence_and_makes_no_database(folder: Path) -> None:
    for command in ("enable", "disable"):
        _, said = deckwatch(folder, "rules", command, "no-such-rule", code=1)
        assert said == "deckwatch: There is no rule with this id, or it is not loaded.\n"
    assert not (folder / "deckwatch.db").exists()


def test_a_list_says_how_many_problems_there_are(folder: Path) -> None:
    (folder / "more" / "broken.toml").write_text("broken")
    assert "1 problems in rule files" in deckwatch(folder, "rules", "list")[1]


def test_an_older_database_is_named_and_left_as_it_is(folder: Path) -> None:
    file = folder / "deckwatch.db"
    opened(read_settings(database_url=f"sqlite:///{file}"), migrate=lambda _: None).close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    _, said = deckwatch(folder, "rules", "list", code=1)
    assert "It is at revision 0001" in said
    assert "deckwatch db upgrade" in said
