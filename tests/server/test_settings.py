"""Settings from the environment: defaults, invalid values and the secret key file."""

import stat
from pathlib import Path

import pytest

from app.domain.errors import FatalError
from app.settings import load_or_create_secret_key, read_settings, with_default_base_url

INVALID_VALUES = [
    ("DATABASE_URL", "mysql://x", "sqlite:///"),
    ("BASE_URL", "deckwatch.example", "must be the URL that users open"),
    ("BASE_URL", "https://deckwatch.example/sub", "must have no path"),
    ("BASE_URL", "ftp://deckwatch.example", "must be the URL that users open"),
    ("SECRET_KEY", "short", "at least 32 characters"),
    ("MAX_BODY_BYTES", "many", "valid integer"),
    ("MAX_BODY_BYTES", "-1", "greater than or equal to 1024"),
    ("MAX_EVENT_BYTES", "1", "greater than or equal to 1024"),
    ("EXCLUSION_MAX_DAYS", "0", "greater than or equal to 1"),
    ("LOG_FORMAT", "xml", "'auto', 'text' or 'json'"),
    ("RETENTION_DAYS", "0", "greater than or equal to 1"),
    ("RETENTION_QUARANTINE_DAYS", "-3", "greater than or equal to 1"),
    ("RETENTION_TRAFFIC_DAYS", "1", "greater than or equal to 2"),
    ("RETENTION_MAX_BYTES", "10", "greater than or equal to 1048576"),
]


@pytest.mark.parametrize(("name", "value", "expected_message"), INVALID_VALUES)
def test_an_invalid_setting_is_named_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected_message: str
) -> None:
    monkeypatch.setenv("DECKWATCH_" + name, value)
    with pytest.raises(FatalError) as caught:
        read_settings()
    assert str(caught.value).startswith(f"DECKWATCH_{name}: ")
    assert expected_message in str(caught.value)
    assert value not in str(caught.value) or name != "SECRET_KEY"


def test_defaults_are_a_local_sqlite_file_and_localhost() -> None:
    settings = read_settings()
    assert settings.sqlite_file == Path("deckwatch.db")
    assert settings.base_url == "http://127.0.0.1:8000"
    assert settings.max_body_bytes == 64 * 1024 * 1024


def test_rule_folders_are_separated_like_the_path_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECKWATCH_RULES", "/etc/deckwatch/rules:more")
    assert read_settings().rules == (Path("/etc/deckwatch/rules"), Path("more"))


@pytest.mark.parametrize(
    ("base_url", "host", "expected_url"),
    [
        (None, "127.0.0.1", "http://127.0.0.1:8123"),
        (None, "::1", "http://[::1]:8123"),
        ("https://deckwatch.example/", "0.0.0.0", "https://deckwatch.example"),  # noqa: S104 (nothing listens on it)
    ],
)
def test_the_base_url_defaults_to_the_listening_address(
    monkeypatch: pytest.MonkeyPatch, base_url: str | None, host: str, expected_url: str
) -> None:
    monkeypatch.setenv("DECKWATCH_BASE_URL", "x")
    monkeypatch.delenv(
        "DECKWATCH_BASE_URL"
    )  # makes monkeypatch restore the value that the test sets
    if base_url:
        monkeypatch.setenv("DECKWATCH_BASE_URL", base_url)
    assert with_default_base_url(read_settings(), host, 8123).base_url == expected_url


def test_the_secret_key_is_created_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    settings = read_settings(database_url=f"sqlite:///{tmp_path / 'my.db'}")
    first = load_or_create_secret_key(settings)
    key_file = tmp_path / "my.secret"
    assert len(first) >= 32
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert load_or_create_secret_key(settings) == first
    key_file.write_text("cut")
    with pytest.raises(FatalError, match="is damaged"):
        load_or_create_secret_key(settings)


def test_postgresql_requires_a_secret_key() -> None:
    settings = read_settings(database_url="postgresql+psycopg://x/y")
    with pytest.raises(FatalError, match="DECKWATCH_SECRET_KEY"):
        load_or_create_secret_key(settings)


def test_retention_max_bytes_requires_sqlite() -> None:
    with pytest.raises(FatalError) as caught:
        read_settings(database_url="postgresql+psycopg://x/y", retention_max_bytes=2**30)
    assert str(caught.value).startswith("DECKWATCH_RETENTION_MAX_BYTES works with a SQLite")
