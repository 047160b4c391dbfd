"""A real server in a process of its own, and Debian's chromium with an eye on what a page complains of."""

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
    """A running Deckwatch, one admin and one agent in it."""

    url: str
    key: str
    link: Callable[[str], str]

    def send(self, *events: dict[str, Any]) -> dict[str, Any]:
        body = "\n".join(json.dumps(event) for event in events).encode()
        request = Request(  # noqa: S310 (our own server)
            self.url + "/api/v1/events",
            data=body,
            headers={"Authorization": f"Bearer {self.key}"},
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

    # A file, not a pipe: nobody would read on, and a full pipe stops whoever writes a line for each request.
    told = folder / "stderr"
    with told.open("w") as errors:
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
    wait_until(lambda: bool(address.search(told.read_text())), "the server says where it is")
    found = address.search(told.read_text())
    assert found is not None
    try:
        yield Server(found[1], key, link)
    finally:
        process.terminate()
        database.close()
        assert process.wait(10) == 0


@dataclass
class BrowserErrors:
    """What pages reported: console errors, uncaught exceptions, violations of the CSP."""

    told: list[str] = field(default_factory=list)

    def listen(self, context: BrowserContext) -> None:
        context.on("console", self._on_console)
        context.on("dialog", self._on_dialog)
        context.on("weberror", lambda error: self.told.append(f"uncaught: {error.error}"))
        context.expose_function("reportCsp", lambda text: self.told.append(f"csp: {text}"))
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation',"
            " e => window.reportCsp(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample))"
        )

    def _on_dialog(self, dialog: Dialog) -> None:
        self.told.append(f"a script ran: {dialog.message}")
        dialog.dismiss()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.told.append(f"console {message.type}: {message.text}")


@pytest.fixture
def browser_errors() -> BrowserErrors:
    return BrowserErrors()


@pytest.fixture
def open_as(
    browser: Browser, server: Server, browser_errors: BrowserErrors
) -> Iterator[Callable[..., Page]]:
    """A page of a fresh browser, signed in by a one-time link; other arguments are the context's."""
    contexts: list[BrowserContext] = []

    def opened_as(name: str, **more: Any) -> Page:
        more.setdefault("viewport", {"width": 1440, "height": 900})
        context = browser.new_context(base_url=server.url, **more)
        contexts.append(context)
        if more.get("java_script_enabled", True):
            browser_errors.listen(context)
        page = context.new_page()
        page.goto(f"/setup/{server.link(name)}")
        return page

    yield opened_as
    for context in contexts:
        context.close()
