"""Fixtures for browser tests: a real server process, Chromium, and the errors that pages report."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page

from app.actions import api_keys, users
from app.bootstrap import open_migrated_database
from app.domain.principal import CLI_PRINCIPAL, Role
from app.settings import read_settings
from app.store.users import LinkPurpose
from tests.processes import wait_until

CHROMIUM = shutil.which("chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None and "CI" not in os.environ:
                item.add_marker(
                    pytest.mark.skip(reason="chromium is missing: apt install chromium")
                )


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return {
        "executable_path": CHROMIUM or "chromium",
        # Chromium's own sandbox needs privileges that containers and root shells lack.
        "args": ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    }


@dataclass
class Server:
    """A running server with an admin, an analyst and one agent key."""

    url: str
    key: str
    link: Callable[[str], str]

    def send(self, *events: dict[str, Any], key: str = "") -> dict[str, Any]:
        """Send events with `key`, or with the key of the server's first agent."""
        body = "\n".join(json.dumps(event) for event in events).encode()
        request = Request(  # noqa: S310 (our own server)
            self.url + "/api/v1/events",
            data=body,
            headers={"Authorization": f"Bearer {key or self.key}"},
        )
        with urlopen(request, timeout=30) as response:  # noqa: S310 (our own server)
            receipt: dict[str, Any] = json.loads(response.read())
            return receipt


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    url = f"sqlite:///{folder / 'deckwatch.db'}"
    settings = read_settings(database_url=url)
    database = open_migrated_database(settings, on_migrated=lambda _: None)
    at = datetime.now(UTC)
    for name, role in (("ada", Role.ADMIN), ("ana", Role.ANALYST)):
        users.create_user(database, name, role, password=None, principal=CLI_PRINCIPAL, at=at)
    _, key = api_keys.create(database, "fleet", Role.AGENT, principal=CLI_PRINCIPAL, at=at)
    ids = {"ada": 1, "ana": 2}

    def link(name: str) -> str:
        return users.create_link(
            database,
            LinkPurpose.SIGN_IN,
            user_id=ids[name],
            principal=CLI_PRINCIPAL,
            at=datetime.now(UTC),
        )

    # A file, not a pipe: nothing would read the pipe, and a full pipe blocks the server.
    log = folder / "stderr"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", "from app.cli.main import main; main()", "serve", "--port", "0"],
            cwd=folder,
            env={
                **os.environ,
                "DECKWATCH_DATABASE_URL": url,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            stderr=errors,
        )
    address = re.compile(r" on (http://\S+)")
    wait_until(lambda: bool(address.search(log.read_text())), "the server logs its address")
    match = address.search(log.read_text())
    assert match is not None
    try:
        yield Server(match[1], key, link)
    finally:
        process.terminate()
        database.close()
        assert process.wait(10) == 0


@dataclass
class BrowserErrors:
    """Errors that pages report: console messages, uncaught exceptions, dialogs, CSP violations."""

    messages: list[str] = field(default_factory=list)

    def listen(self, context: BrowserContext) -> None:
        context.on("console", self._on_console)
        context.on("dialog", self._on_dialog)
        context.on("weberror", lambda error: self.messages.append(f"uncaught: {error.error}"))
        context.expose_function("reportCsp", lambda text: self.messages.append(f"csp: {text}"))
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation',"
            " e => window.reportCsp(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample))"
        )

    def _on_dialog(self, dialog: Dialog) -> None:
        self.messages.append(f"a script ran: {dialog.message}")
        dialog.dismiss()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.messages.append(f"console {message.type}: {message.text}")


@pytest.fixture
def browser_errors() -> BrowserErrors:
    return BrowserErrors()


@pytest.fixture
def open_as(
    browser: Browser, server: Server, browser_errors: BrowserErrors
) -> Iterator[Callable[..., Page]]:
    """Open a page signed in with a one-time link; other arguments go to the browser context."""
    contexts: list[BrowserContext] = []

    def open_page(name: str, **options: Any) -> Page:
        options.setdefault("viewport", {"width": 1440, "height": 900})
        context = browser.new_context(base_url=server.url, **options)
        contexts.append(context)
        if options.get("java_script_enabled", True):
            browser_errors.listen(context)
        page = context.new_page()
        page.goto(f"/setup/{server.link(name)}")
        return page

    yield open_page
    for context in contexts:
        context.close()
