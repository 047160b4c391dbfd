"""The command line as people and scripts meet it: one clear line for a mistake, never a traceback."""

import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.settings import read_settings
from app.setup import opened
from tests.processes import COMMAND, run, serving, until

PASSWORD = b"correct horse battery staple\n"
BROKEN_RULE = '[rule]\nname = "x"\nquery = "process where"\n'


def clear(ended: "subprocess.CompletedProcess[str]", code: int, *said: str) -> None:
    """Check an exit code and that stderr says this, on one line of our own and without a traceback."""
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Warning" not in ended.stderr
    for words in said:
        assert words in ended.stderr
    if code == 1 and ended.stderr.startswith("deckwatch: "):
        assert ended.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database at the newest revision, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "deckwatch.db"
    opened(read_settings(database_url=f"sqlite:///{file}"), migrate=lambda _: None).close()
    return file


@pytest.fixture
def folder(tmp_path: Path, migrated: Path) -> Path:
    """A folder with a database in it; commands run here."""
    shutil.copy(migrated, tmp_path / "deckwatch.db")
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield int(other.getsockname()[1])


# ---- wrong use ----

WRONG_USE: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown command": (("dance",), "No such command"),
    "an unknown option": (("serve", "--fast"), "No such option"),
    "a port that is no number": (("serve", "--port", "http"), "--port"),
    "no workers": (("serve", "--workers", "0"), "--workers"),
    "a person without a name": (("user", "create", "--role", "admin"), "name"),
    "a person without a role": (("user", "create", "ada"), "--role"),
    "a person as an agent": (("user", "create", "ada", "--role", "agent"), "analyst or admin"),
    "a key of no known role": (("key", "create", "a", "--role", "root"), "agent, analyst or admin"),
    "a replay of nothing": (("replay",), "FILE"),
}


@pytest.mark.parametrize(("words", "said"), WRONG_USE.values(), ids=WRONG_USE.keys())
def test_wrong_use_is_exit_2_and_says_what_would_fit(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    ended = run(tmp_path, *words)
    clear(ended, 2, said)
    assert list(tmp_path.iterdir()) == []


def test_every_command_explains_itself(tmp_path: Path) -> None:
    top = run(tmp_path, "--help").stdout
    for command in ("serve", "demo", "user", "key", "rules", "replay", "db"):
        assert command in top
    assert run(tmp_path, "--version").stdout.startswith("deckwatch ")


# ---- a start that cannot be ----

UNUSABLE: dict[str, tuple[dict[str, str], str]] = {
    "another database": ({"DATABASE_URL": "mysql://x"}, "DECKWATCH_DATABASE_URL"),
    "a database in memory": ({"DATABASE_URL": "sqlite:///:memory:"}, "memory forgets"),
    "a database of no name": ({"DATABASE_URL": "sqlite:///"}, "memory forgets"),
    "a folder that is missing": (
        {"DATABASE_URL": "sqlite:///no/such/deckwatch.db"},
        "No such file",
    ),
    "rules that are missing": ({"RULES": "no/such/rules"}, "DECKWATCH_RULES: there is no"),
    "a short secret": ({"SECRET_KEY": "short"}, "DECKWATCH_SECRET_KEY: at least 32"),
}


@pytest.mark.parametrize(("settings", "said"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_start_with_a_wrong_setting_ends_with_one_sentence(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    clear(run(tmp_path, "serve", "--port", "0", stdin=b"", **settings), 1, "deckwatch: ", said)


def test_a_port_in_use_is_one_sentence(folder: Path, taken: int) -> None:
    clear(run(folder, "serve", "--port", str(taken)), 1, f"Port {taken} on 127.0.0.1 is in use")


def test_a_host_that_is_none_and_a_port_beyond_the_last_are_one_sentence(tmp_path: Path) -> None:
    clear(run(tmp_path, "serve", "--host", "é" * 80), 1, "is no host name")
    clear(run(tmp_path, "serve", "--port", "99999"), 1, "ports go from 0 to 65535")


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "deckwatch.db").write_bytes(b"not a database at all\n" * 500)
    for words in (("serve", "--port", "0"), ("db", "check")):
        clear(run(tmp_path, *words), 1, "not a database")


def test_a_database_newer_than_the_program_is_left_alone(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "deckwatch.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for words in (("serve", "--port", "0"), ("db", "upgrade"), ("key", "list")):
        clear(run(folder, *words), 1, "newer than this Deckwatch")


@pytest.mark.parametrize("kept", ["", "too short"])
def test_a_secret_that_was_cut_short_is_one_sentence(folder: Path, kept: str) -> None:
    (folder / "deckwatch.secret").write_text(kept)
    clear(run(folder, "serve", "--port", "0"), 1, "deckwatch.secret", "damaged")


def test_a_secret_that_cannot_be_kept_is_one_sentence(folder: Path) -> None:
    (folder / "deckwatch.secret").mkdir()
    clear(run(folder, "serve", "--port", "0"), 1, "The secret key", "cannot be used")


def test_a_start_names_the_rules_that_will_not_decide(folder: Path) -> None:
    (folder / "rules").mkdir()
    (folder / "rules" / "broken.toml").write_text(BROKEN_RULE)
    command = (*COMMAND, "serve", "--port", "0")
    said: list[str] = []
    with serving(folder, command, heard=said, RULES="rules") as server:
        assert server.ask("GET", "/healthz")[0] == 200
        assert server.stop() == 0
    assert any("broken.toml:" in line for line in said)
    assert any("deckwatch rules check" in line for line in said)


def test_the_first_start_prints_a_link_that_sets_up_the_first_admin(tmp_path: Path) -> None:
    said: list[str] = []
    with serving(tmp_path, (*COMMAND, "serve", "--port", "0"), heard=said) as server:
        link = next(line.strip() for line in said if "/setup/" in line)
        status, _, page = server.ask("GET", "/setup/" + link.rpartition("/")[2])
        assert status == 200
        assert b"first admin" in page
        assert server.stop() == 0
    assert (tmp_path / "deckwatch.secret").stat().st_mode & 0o777 == 0o600


# ---- people and keys ----


def test_a_person_is_created_once_with_a_password_from_stdin(folder: Path) -> None:
    create = ("user", "create", "ada", "--role", "admin")
    clear(run(folder, *create, stdin=b""), 1, "At least 12 characters")
    clear(run(folder, *create, stdin=b"\xff\xfe\xfd not text at all\n"), 1, "not UTF-8")
    clear(run(folder, *create, stdin=PASSWORD), 0, "Created ada, admin.")
    clear(run(folder, *create, stdin=PASSWORD), 1, "exists already")


def test_a_key_is_printed_once_listed_without_itself_and_revoked(folder: Path) -> None:
    made = run(folder, "key", "create", "fleet", "--role", "agent")
    clear(made, 0)
    key = made.stdout.removesuffix("\n")
    assert key.startswith("dw_")
    assert len(key.split()) == 1
    assert key.encode() not in (folder / "deckwatch.db").read_bytes()
    clear(run(folder, "key", "create", "fleet", "--role", "agent"), 1, "exists")
    clear(run(folder, "key", "revoke", "fleet"), 0, "Revoked fleet.")
    clear(run(folder, "key", "revoke", "fleet"), 1, "revoked already")
    listed = run(folder, "key", "list").stdout
    assert listed.startswith("fleet\tagent\t…" + key[-4:])
    assert key not in listed


# ---- rules ----


def test_rules_are_checked_with_their_tests_and_errors_say_where(tmp_path: Path) -> None:
    own = run(tmp_path, "rules", "check")
    clear(own, 0)
    assert "0 problems" in own.stdout
    (tmp_path / "broken.toml").write_text(BROKEN_RULE)
    (tmp_path / "binary.toml").write_bytes(b"\xff\x00")
    clear(run(tmp_path, "rules", "check", "."), 1, "broken.toml:", "binary.toml:")
    clear(run(tmp_path, "rules", "check", "missing.toml"), 1, "missing.toml")


# ---- the database ----


def test_a_database_is_made_upgraded_and_checked(tmp_path: Path) -> None:
    clear(run(tmp_path, "db", "check"), 1, "There is no database")
    clear(run(tmp_path, "db", "upgrade"), 0, "Now at revision")
    clear(run(tmp_path, "db", "upgrade"), 0, "Already at revision")
    clear(run(tmp_path, "db", "check"), 0, "All well.")
    (tmp_path / "deckwatch.db").write_bytes(b"")
    clear(run(tmp_path, "db", "check"), 1, "run: deckwatch db upgrade")


def test_a_locked_database_is_waited_for_and_then_named(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "deckwatch.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        clear(run(folder, "key", "create", "a", "--role", "agent"), 1, "The database is busy")
        other.execute("ROLLBACK")


def test_the_demo_serves_and_ends_with_its_folder(tmp_path: Path) -> None:
    command = (*COMMAND, "demo", "--port", "0")
    (tmp_path / "tmp").mkdir()
    said: list[str] = []
    with serving(tmp_path, command, heard=said, temporary=tmp_path / "tmp") as server:
        assert any((tmp_path / "tmp").iterdir())
        until(lambda: server.ask("GET", "/readyz")[0] == 200, "ready")
        assert server.stop() == 0
    assert list((tmp_path / "tmp").iterdir()) == []
