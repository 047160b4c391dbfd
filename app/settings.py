"""Settings from environment variables, read once at startup."""

import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.domain.errors import FatalError
from app.logs import LogFormat

ENV_PREFIX = "DECKWATCH_"
SQLITE_URL_PREFIX = "sqlite:///"


class Settings(BaseSettings):
    """All settings.

    Each field is read from an environment variable, for example `log_format` from DECKWATCH_LOG_FORMAT.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore", frozen=True)

    database_url: str = SQLITE_URL_PREFIX + "deckwatch.db"
    secret_key: SecretStr | None = None
    base_url: str = "http://127.0.0.1:8000"
    rules: Annotated[tuple[Path, ...], NoDecode] = ()
    max_body_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=1024**3)
    max_event_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=1024**3)
    exclusion_max_days: int = Field(default=90, ge=1, le=3650)
    log_format: LogFormat = LogFormat.AUTO
    retention_days: int = Field(default=365, ge=1, le=36500)
    retention_quarantine_days: int = Field(default=30, ge=1, le=36500)
    retention_traffic_days: int = Field(default=90, ge=2, le=36500)
    retention_max_bytes: int | None = Field(default=None, ge=1024 * 1024)

    @field_validator("rules", mode="before")
    @classmethod
    def _split_rule_paths(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(Path(part) for part in value.split(os.pathsep) if part)
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        if not value.startswith((SQLITE_URL_PREFIX, "postgresql+psycopg://")):
            raise ValueError(
                "must start with sqlite:/// (a file) or postgresql+psycopg:// (a server)"
            )
        file = value.removeprefix(SQLITE_URL_PREFIX).partition("?")[0]
        if file == "" or file.startswith((":memory:", "file:")):
            raise ValueError(
                "must name a file, such as sqlite:///deckwatch.db; "
                "a database in memory is lost when the process ends"
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError(
                "must be the URL that users open, such as https://deckwatch.example.org"
            )
        if parts.path not in ("", "/"):
            raise ValueError("must have no path; Deckwatch is served from the root of its host")
        return value.rstrip("/")

    @field_validator("secret_key")
    @classmethod
    def _check_secret_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError(
                "must have at least 32 characters, for example from: openssl rand -base64 32"
            )
        return value

    @model_validator(mode="after")
    def _check_retention_max_bytes(self) -> Self:
        if self.retention_max_bytes is not None and self.sqlite_file is None:
            # PostgreSQL's files do not shrink when rows are deleted. If a PostgreSQL database exceeded the
            # limit, the retention job would delete rows until no deletable row is left. The database
            # would still exceed the limit.
            raise ValueError("DECKWATCH_RETENTION_MAX_BYTES works with a SQLite database only")
        return self

    @property
    def uses_https(self) -> bool:
        return self.base_url.startswith("https://")

    @property
    def exclusion_max_duration(self) -> timedelta:
        return timedelta(days=self.exclusion_max_days)

    @property
    def sqlite_file(self) -> Path | None:
        if self.database_url.startswith(SQLITE_URL_PREFIX):
            return Path(self.database_url.removeprefix(SQLITE_URL_PREFIX).partition("?")[0])
        return None


def read_settings(**overrides: object) -> Settings:
    """Return the settings from the environment. Raises FatalError, which names the invalid setting."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic validates them
    except ValidationError as error:
        first = error.errors()[0]
        name = ENV_PREFIX + "_".join(str(part) for part in first["loc"][:1]).upper()
        message = str(first["msg"]).removeprefix("Value error, ")
        # An error of a model validator has no location, so its message names the setting.
        raise FatalError(f"{name}: {message}" if first["loc"] else f"{message}.") from None


def with_default_base_url(settings: Settings, host: str, port: int) -> Settings:
    """Return the settings with the listening address as base URL, unless a base URL is set.

    The function also sets the environment variable of the base URL, which worker processes read.
    """
    if "base_url" in settings.model_fields_set:
        return settings
    url_host = f"[{host}]" if ":" in host else host
    os.environ[ENV_PREFIX + "BASE_URL"] = f"http://{url_host}:{port}"
    return read_settings()


def load_or_create_secret_key(settings: Settings) -> bytes:
    """Return the secret key, which signs form tokens.

    If the settings contain a key, the function returns this key. Otherwise it reads the key from a file
    beside the SQLite file, such as `deckwatch.secret` beside `deckwatch.db`. If the key file does not exist,
    the function creates the file with a new key.

    Raises FatalError if the key file cannot be read or created, or if its key is too short. Raises FatalError
    if the settings contain no key and the database is not a SQLite file.
    """
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    if settings.sqlite_file is None:
        raise FatalError(
            f"{ENV_PREFIX}SECRET_KEY: required unless the database is a SQLite file; "
            "create one with: openssl rand -base64 32"
        )
    path = settings.sqlite_file.with_suffix(".secret")
    try:
        return _read_or_create_secret(path)
    except OSError as error:
        raise FatalError(
            f"The secret key file {path} cannot be read or created: {error.strerror}."
        ) from None


def _read_or_create_secret(path: Path) -> bytes:
    try:
        # O_EXCL ensures that only one worker creates the file if several workers start at the same time.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        existing_key = path.read_bytes().strip()
        if len(existing_key) >= 32:
            return existing_key
        raise FatalError(
            f"The secret key file {path} is damaged: remove it and start again."
        ) from None
    new_key = secrets.token_urlsafe(48).encode()
    with os.fdopen(handle, "wb") as file:
        file.write(new_key + b"\n")
    return new_key
