"""Shared fixtures: a database in a file, the application, signed-in users, and API keys."""

import json
import os
import re
import signal
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.actions import api_keys, users
from app.bootstrap import open_migrated_database
from app.domain.principal import CLI_PRINCIPAL, Role
from app.main import create_app
from app.settings import Settings, read_settings
from app.store.database import Database
from app.web.services import Services

ORIGIN = "http://127.0.0.1:8000"
PASSWORD = "correct horse battery staple"

# A shell starts background jobs with SIGINT ignored, and children inherit that: tests of Ctrl-C would hang.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report skipped tests as failed in CI, where every requirement is installed."""
    report = yield
    if report.skipped and "CI" in os.environ:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the developer's settings and database from every test."""
    for name in list(os.environ):
        if name.startswith("DECKWATCH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(database_url=f"sqlite:///{tmp_path / 'deckwatch.db'}")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """A second connection to the application's database, to prepare and to check data."""
    migrated = open_migrated_database(settings, on_migrated=lambda _: None)
    yield migrated
    migrated.close()


@pytest.fixture
def app(settings: Settings, clock: FakeClock, database: Database) -> FastAPI:
    return create_app(settings, clock=clock)


@pytest.fixture
def anonymous(app: FastAPI) -> Iterator[TestClient]:
    """A browser that is not signed in; this fixture also keeps the application running."""
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        yield client


@pytest.fixture
def services(app: FastAPI) -> Services:
    app_services: Services = app.state.services
    return app_services


@dataclass
class UserClient:
    """A browser of a signed-in user; `post` adds the CSRF token, as a form does."""

    client: TestClient
    name: str

    def get(self, url: str, **more: Any) -> Any:
        return self.client.get(url, **more)

    def post(self, url: str, data: dict[str, Any] | None = None, **more: Any) -> Any:
        return self.client.post(url, data={"csrf": self.csrf_token(), **(data or {})}, **more)

    def csrf_token(self) -> str:
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', self.get("/account").text)
        assert token is not None
        return token[1]


@pytest.fixture
def sign_in(
    app: FastAPI, anonymous: TestClient, database: Database, clock: FakeClock
) -> Callable[[str, Role], UserClient]:
    """Create a user and sign in with the sign-in form."""

    def create_and_sign_in(name: str, role: Role) -> UserClient:
        users.create_user(
            database, name, role, password=PASSWORD, principal=CLI_PRINCIPAL, at=clock()
        )
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        page = client.get("/login")
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
        assert token is not None
        response = client.post(
            "/login", data={"csrf": token[1], "name": name, "password": PASSWORD, "next": ""}
        )
        assert response.status_code == 303, response.text
        return UserClient(client, name)

    return create_and_sign_in


@pytest.fixture
def admin(sign_in: Callable[[str, Role], UserClient]) -> UserClient:
    return sign_in("ada", Role.ADMIN)


@pytest.fixture
def analyst(sign_in: Callable[[str, Role], UserClient]) -> UserClient:
    return sign_in("ana", Role.ANALYST)


@pytest.fixture
def make_key(database: Database, clock: FakeClock) -> Callable[[str, Role], str]:
    """Create an API key and return its text."""

    def create_key(name: str, role: Role) -> str:
        return api_keys.create(database, name, role, principal=CLI_PRINCIPAL, at=clock())[1]

    return create_key


@dataclass
class AgentClient:
    """An agent that sends events."""

    client: TestClient
    key: str

    def send(self, body: Any, **headers: str) -> Any:
        """Post `body` (bytes, or a value to encode as JSON) and return the response."""
        all_headers = {"Authorization": f"Bearer {self.key}", **headers}
        if isinstance(body, bytes):
            return self.client.post("/api/v1/events", content=body, headers=all_headers)
        return self.client.post("/api/v1/events", content=json.dumps(body), headers=all_headers)

    def send_events(self, body: Any, **headers: str) -> dict[str, Any]:
        response = self.send(body, **headers)
        assert response.status_code == 200, response.text
        result: dict[str, Any] = response.json()
        return result


@pytest.fixture
def agent(anonymous: TestClient, make_key: Callable[[str, Role], str]) -> AgentClient:
    return AgentClient(anonymous, make_key("fleet", Role.AGENT))
