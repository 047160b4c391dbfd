"""Settings: what the environment may say, and the sentence for what it may not."""

import stat
from pathlib import Path

import pytest

from app.domain.errors import Unusable
from app.settings import read_settings, secret_key, with_address

WRONG = [
    ("DATABASE_URL", "mysql://x", "sqlite:///"),
    ("BASE_URL", "deckwatch.example", "give the address people type"),
    ("BASE_URL", "https://deckwatch.example/sub", "without a path"),
    ("BASE_URL", "ftp://deckwatch.example", "give the address people type"),
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


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_wrong_setting_is_named_with_what_would_fit(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv("DECKWATCH_" + name, value)
    with pytest.raises(Unusable) as caught:
        read_settings()
    assert str(caught.value).startswith(f"DECKWATCH_{name}: ")
    assert words in str(caught.value)
    assert value not in str(caught.value) or name != "SECRET_KEY"


def test_without_settings_a_file_here_and_this_machine_are_meant() -> None:
    settings = read_settings()
    assert settings.sqlite_file == Path("deckwatch.db")
    assert settings.base_url == "http://127.0.0.1:8000"
    assert settings.max_body_bytes == 64 * 1024 * 1024


def test_rule_folders_are_separated_like_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECKWATCH_RULES", "/etc/deckwatch/rules:more")
    assert read_settings().rules == (Path("/etc/deckwatch/rules"), Path("more"))


@pytest.mark.parametrize(
    ("base_url", "host", "told"),
    [
        (None, "127.0.0.1", "http://127.0.0.1:8123"),
        (None, "::1", "http://[::1]:8123"),
        ("https://deckwatch.example/", "0.0.0.0", "https://deckwatch.example"),  # noqa: S104 (only named)
    ],
)
def test_links_lead_to_the_base_url_or_to_where_the_server_listens(
    monkeypatch: pytest.MonkeyPatch, base_url: str | None, host: str, told: str
) -> None:
    monkeypatch.setenv("DECKWATCH_BASE_URL", "x")
    monkeypatch.delenv("DECKWATCH_BASE_URL")  # so that what is set here goes with the test
    if base_url:
        monkeypatch.setenv("DECKWATCH_BASE_URL", base_url)
    assert with_address(read_settings(), host, 8123).base_url == told


def test_the_secret_key_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    settings = read_settings(database_url=f"sqlite:///{tmp_path / 'my.db'}")
    first = secret_key(settings)
    kept = tmp_path / "my.secret"
    assert len(first) >= 32
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert secret_key(settings) == first
    kept.write_text("cut")
    with pytest.raises(Unusable, match="is damaged"):
        secret_key(settings)


def test_a_server_database_needs_its_secret_key_set() -> None:
    settings = read_settings(database_url="postgresql+psycopg://x/y")
    with pytest.raises(Unusable, match="DECKWATCH_SECRET_KEY"):
        secret_key(settings)


def test_a_size_to_keep_is_refused_where_removing_makes_nothing_smaller() -> None:
    with pytest.raises(Unusable) as caught:
        read_settings(database_url="postgresql+psycopg://x/y", retention_max_bytes=2**30)
    assert str(caught.value).startswith("DECKWATCH_RETENTION_MAX_BYTES works with a SQLite")
