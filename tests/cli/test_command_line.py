"""Errors, exit codes and output of `deckwatch`: a mistake gives one line of error, never a traceback."""

import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.bootstrap import open_migrated_database
from app.settings import read_settings
from tests.processes import COMMAND, run, running_server, wait_until

PASSWORD = b"correct horse battery staple\n"
BROKEN_RULE = '[rule]\nname = "x"\nquery = "process where"\n'


def assert_exit(
    ended: "subprocess.CompletedProcess[str]", code: int, *expected_stderr: str
) -> None:
    """Check the exit code and that stderr contains each of `expected_stderr`, but no traceback or warning.

    An error of Deckwatch itself must be one line.
    """
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Warning" not in ended.stderr
    for args in expected_stderr:
        assert args in ended.stderr
    if code == 1 and ended.stderr.startswith("deckwatch: "):
        assert ended.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a database at the newest revision, which tests copy."""
    file = tmp_path_factory.mktemp("migrated") / "deckwatch.db"
    open_migrated_database(
        read_settings(database_url=f"sqlite:///{file}"), on_migrated=lambda _: None
    ).close()
    return file


@pytest.fixture
def folder(tmp_path: Path, migrated_database: Path) -> Path:
    """A folder with a migrated database, in which the commands run."""
    shutil.copy(migrated_database, tmp_path / "deckwatch.db")
    return tmp_path


@pytest.fixture
def port_in_use() -> Iterator[int]:
    """A port on which another socket already listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield int(other.getsockname()[1])


# ---- usage errors ----

USAGE_ERRORS: dict[str, tuple[tuple[str, ...], str]] = {
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


@pytest.mark.parametrize(
    ("args", "expected_stderr"), USAGE_ERRORS.values(), ids=USAGE_ERRORS.keys()
)
def test_a_usage_error_exits_2_with_a_hint(
    tmp_path: Path, args: tuple[str, ...], expected_stderr: str
) -> None:
    ended = run(tmp_path, *args)
    assert_exit(ended, 2, expected_stderr)
    assert list(tmp_path.iterdir()) == []


def test_help_lists_every_command(tmp_path: Path) -> None:
    top = run(tmp_path, "--help").stdout
    for command in ("serve", "demo", "user", "key", "rules", "replay", "db"):
        assert command in top
    assert run(tmp_path, "--version").stdout.startswith("deckwatch ")


# ---- starts of the server that fail ----

INVALID_SETTINGS: dict[str, tuple[dict[str, str], str]] = {
    "another database": ({"DATABASE_URL": "mysql://x"}, "DECKWATCH_DATABASE_URL"),
    "a database in memory": (
        {"DATABASE_URL": "sqlite:///:memory:"},
        "a database in memory is lost",
    ),
    "a database of no name": ({"DATABASE_URL": "sqlite:///"}, "a database in memory is lost"),
    "a folder that is missing": (
        {"DATABASE_URL": "sqlite:///no/such/deckwatch.db"},
        "No such file",
    ),
    "rules that are missing": (
        {"RULES": "no/such/rules"},
        "DECKWATCH_RULES: no/such/rules does not exist",
    ),
    "a short secret": ({"SECRET_KEY": "short"}, "DECKWATCH_SECRET_KEY: must have at least 32"),
}


@pytest.mark.parametrize(
    ("settings", "expected_stderr"), INVALID_SETTINGS.values(), ids=INVALID_SETTINGS.keys()
)
def test_serve_with_an_invalid_setting_prints_one_error(
    tmp_path: Path, settings: dict[str, str], expected_stderr: str
) -> None:
    assert_exit(
        run(tmp_path, "serve", "--port", "0", stdin=b"", **settings),
        1,
        "deckwatch: ",
        expected_stderr,
    )


def test_a_port_in_use_prints_one_error(folder: Path, port_in_use: int) -> None:
    assert_exit(
        run(folder, "serve", "--port", str(port_in_use)),
        1,
        f"Port {port_in_use} on 127.0.0.1 is in use",
    )


def test_an_invalid_host_or_port_prints_one_error(tmp_path: Path) -> None:
    assert_exit(run(tmp_path, "serve", "--host", "é" * 80), 1, "Invalid host name")
    assert_exit(run(tmp_path, "serve", "--port", "99999"), 1, "ports range from 0 to 65535")


def test_a_file_that_is_not_a_database_prints_one_error(tmp_path: Path) -> None:
    (tmp_path / "deckwatch.db").write_bytes(b"not a database at all\n" * 500)
    for args in (("serve", "--port", "0"), ("db", "check")):
        assert_exit(run(tmp_path, *args), 1, "not a database")


def test_a_database_newer_than_the_program_is_not_changed(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "deckwatch.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for args in (("serve", "--port", "0"), ("db", "upgrade"), ("key", "list")):
        assert_exit(run(folder, *args), 1, "newer than this Deckwatch")


@pytest.mark.parametrize("kept", ["", "too short"])
def test_a_truncated_secret_prints_one_error(folder: Path, kept: str) -> None:
    (folder / "deckwatch.secret").write_text(kept)
    assert_exit(run(folder, "serve", "--port", "0"), 1, "deckwatch.secret", "damaged")


def test_a_secret_that_cannot_be_written_prints_one_error(folder: Path) -> None:
    (folder / "deckwatch.secret").mkdir()
    assert_exit(
        run(folder, "serve", "--port", "0"), 1, "The secret key file", "cannot be read or created"
    )


def test_serve_names_rule_files_that_failed_to_load(folder: Path) -> None:
    (folder / "rules").mkdir()
    (folder / "rules" / "broken.toml").write_text(BROKEN_RULE)
    command = (*COMMAND, "serve", "--port", "0")
    expected_stderr: list[str] = []
    with running_server(folder, command, log_lines=expected_stderr, RULES="rules") as server:
        assert server.request("GET", "/healthz")[0] == 200
        assert server.stop() == 0
    assert any("broken.toml:" in line for line in expected_stderr)
    assert any("deckwatch rules check" in line for line in expected_stderr)


def test_the_first_start_prints_a_setup_link_for_the_first_admin(tmp_path: Path) -> None:
    expected_stderr: list[str] = []
    with running_server(
        tmp_path, (*COMMAND, "serve", "--port", "0"), log_lines=expected_stderr
    ) as server:
        link = next(line.strip() for line in expected_stderr if "/setup/" in line)
        status, _, page = server.request("GET", "/setup/" + link.rpartition("/")[2])
        assert status == 200
        assert b"first admin" in page
        assert server.stop() == 0
    assert (tmp_path / "deckwatch.secret").stat().st_mode & 0o777 == 0o600


# ---- users and API keys ----


def test_a_user_is_created_once_with_a_password_from_stdin(folder: Path) -> None:
    create = ("user", "create", "ada", "--role", "admin")
    assert_exit(run(folder, *create, stdin=b""), 1, "Enter at least 12 characters")
    assert_exit(run(folder, *create, stdin=b"\xff\xfe\xfd not text at all\n"), 1, "not valid UTF-8")
    assert_exit(run(folder, *create, stdin=PASSWORD), 0, "Created admin ada.")
    assert_exit(run(folder, *create, stdin=PASSWORD), 1, "already exists")


def test_an_api_key_is_created_listed_by_hint_and_revoked(folder: Path) -> None:
    created = run(folder, "key", "create", "fleet", "--role", "agent")
    assert_exit(created, 0)
    key = created.stdout.removesuffix("\n")
    assert key.startswith("dw_")
    assert len(key.split()) == 1
    assert key.encode() not in (folder / "deckwatch.db").read_bytes()
    assert_exit(run(folder, "key", "create", "fleet", "--role", "agent"), 1, "exists")
    assert_exit(run(folder, "key", "revoke", "fleet"), 0, "Revoked fleet.")
    assert_exit(run(folder, "key", "revoke", "fleet"), 1, "already revoked")
    listed = run(folder, "key", "list").stdout
    assert listed.startswith("fleet\tagent\t…" + key[-4:])
    assert key not in listed


# ---- rules ----


def test_rules_check_runs_test_events_and_names_the_file(tmp_path: Path) -> None:
    own = run(tmp_path, "rules", "check")
    assert_exit(own, 0)
    assert "0 problems" in own.stdout
    (tmp_path / "broken.toml").write_text(BROKEN_RULE)
    (tmp_path / "binary.toml").write_bytes(b"\xff\x00")
    assert_exit(run(tmp_path, "rules", "check", "."), 1, "broken.toml:", "binary.toml:")
    assert_exit(run(tmp_path, "rules", "check", "missing.toml"), 1, "missing.toml")


# ---- the database ----


def test_a_database_is_created_upgraded_and_checked(tmp_path: Path) -> None:
    assert_exit(run(tmp_path, "db", "check"), 1, "There is no database")
    assert_exit(run(tmp_path, "db", "upgrade"), 0, "Now at revision")
    assert_exit(run(tmp_path, "db", "upgrade"), 0, "Already at revision")
    assert_exit(run(tmp_path, "db", "check"), 0, "No problems.")
    (tmp_path / "deckwatch.db").write_bytes(b"")
    assert_exit(run(tmp_path, "db", "check"), 1, "run: deckwatch db upgrade")


def test_a_locked_database_prints_busy_after_the_timeout(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "deckwatch.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert_exit(run(folder, "key", "create", "a", "--role", "agent"), 1, "The database is busy")
        other.execute("ROLLBACK")


def test_the_demo_serves_and_removes_its_folder_at_exit(tmp_path: Path) -> None:
    command = (*COMMAND, "demo", "--port", "0")
    (tmp_path / "tmp").mkdir()
    expected_stderr: list[str] = []
    with running_server(
        tmp_path, command, log_lines=expected_stderr, temp_dir=tmp_path / "tmp"
    ) as server:
        assert any((tmp_path / "tmp").iterdir())
        wait_until(lambda: server.request("GET", "/readyz")[0] == 200, "ready")
        assert server.stop() == 0
    assert list((tmp_path / "tmp").iterdir()) == []
