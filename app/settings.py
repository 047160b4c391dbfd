"""Environment to one typed Settings, read once at the start."""

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
    """Every setting is an environment variable: the field's name in capitals behind DECKWATCH_."""

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
                "start it with sqlite:/// (a file) or postgresql+psycopg:// (a server)"
            )
        file = value.removeprefix(SQLITE_URL_PREFIX).partition("?")[0]
        if file == "" or file.startswith((":memory:", "file:")):
            raise ValueError("name a file, such as sqlite:///deckwatch.db: memory forgets")
        return value

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("give the address people type, such as https://deckwatch.example.org")
        if parts.path not in ("", "/"):
            raise ValueError("Deckwatch lives at the root of its host; give it without a path")
        return value.rstrip("/")

    @field_validator("secret_key")
    @classmethod
    def _check_secret_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("at least 32 characters, for example from: openssl rand -base64 32")
        return value

    @model_validator(mode="after")
    def _check_retention_max_bytes(self) -> Self:
        if self.retention_max_bytes is not None and self.sqlite_file is None:
            # PostgreSQL's files do not tell what was removed: all that may go would go, for nothing.
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
    """Settings from the environment; raises FatalError with a sentence that names the wrong one."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic just here
    except ValidationError as error:
        first = error.errors()[0]
        name = ENV_PREFIX + "_".join(str(part) for part in first["loc"][:1]).upper()
        message = str(first["msg"]).removeprefix("Value error, ")
        # What two settings say together has no place of its own, and names them itself.
        raise FatalError(f"{name}: {message}" if first["loc"] else f"{message}.") from None


def with_default_base_url(settings: Settings, host: str, port: int) -> Settings:
    """Where no base URL was set, the address that the server listens on; workers read it too."""
    if "base_url" in settings.model_fields_set:
        return settings
    shown = f"[{host}]" if ":" in host else host
    os.environ[ENV_PREFIX + "BASE_URL"] = f"http://{shown}:{port}"
    return read_settings()


def load_or_create_secret_key(settings: Settings) -> bytes:
    """The key that signs form tokens: as set, else made once and kept beside the SQLite file.

    Raises FatalError when it can be neither read nor kept.
    """
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    if settings.sqlite_file is None:
        raise FatalError(
            f"{ENV_PREFIX}SECRET_KEY: set it when the database is not a SQLite file, "
            "for example from: openssl rand -base64 32"
        )
    path = settings.sqlite_file.with_suffix(".secret")
    try:
        return _read_or_create_secret(path)
    except OSError as error:
        raise FatalError(f"The secret key {path} cannot be used: {error.strerror}.") from None


def _read_or_create_secret(path: Path) -> bytes:
    try:
        # O_EXCL: of several workers starting at once one writes, the others read.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        found = path.read_bytes().strip()
        if len(found) >= 32:
            return found
        raise FatalError(f"The secret key {path} is damaged: remove it and start again.") from None
    made = secrets.token_urlsafe(48).encode()
    with os.fdopen(handle, "wb") as file:
        file.write(made + b"\n")
    return made
