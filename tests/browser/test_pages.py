"""Every page in a real browser: readable by everybody, silent in the console, no wider than the window."""

from collections.abc import Callable
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import BrowserErrors, Server
from tests.factories import exec_event

HOSTILE = '<img src=x onerror="window.pwned=1">\u202e\x00\x1b[31m' + "w" * 300

PAGES = {
    "overview": "/",
    "alerts": "/alerts",
    "alerts, all": "/alerts?status=all&q=ssh&host=node-11",
    "alerts, none fits": "/alerts?q=nothing-like-this",
    "alerts, unreadable filter": "/alerts?severity=enormous",
    "alert": "/alerts/1",
    "alert, hostile": "/alerts/2",
    "alert, false positives": "/alerts/1?guide=false_positives",
    "alert, response": "/alerts/1?guide=response",
    "exclusions": "/exclusions?show=all",
    "exclusions, empty": "/exclusions?show=past",
    "exclusion": "/exclusions/1",
    "new exclusion": "/exclusions/new",
    "new exclusion, hostile": "/exclusions/new?alert=2",
    "edit exclusion": "/exclusions/1/edit",
    "rules": "/rules",
    "rules, none fits": "/rules?state=disabled&q=nothing-like-this",
    "rule": "/rules/{rule}",
    "explain": "/explain",
    "explain, a match": "/explain?alert=1&rule=all",
    "explain, hostile": "/explain?alert=2&rule=all",
    "agents": "/agents",
    "agents, elastic": "/agents?connect=elastic",
    "agents, none fits": "/agents?q=nothing-like-this",
    "agent": "/agents/1",
    "agent, last week": "/agents/1?over=week",
    "quarantine": "/quarantine",
    "quarantine, none fits": "/quarantine?reason=nothing-like-this",
    "in quarantine": "/quarantine/1",
    "people": "/users",
    "account": "/account",
    "audit": "/audit",
    "api": "/api/docs",
    "not found": "/alerts/99999",
}
OUTSIDE = {"login": "/login", "used link": "/setup/gone"}


@pytest.fixture(scope="module")
def filled(server: Server) -> Server:
    """Alerts, ordinary and hostile, an exclusion that has hidden something, something in quarantine."""
    server.send(exec_event("ssh", "-N", "-R", "0.0.0.0:2222:localhost:22", "ops@203.0.113.9"))
    server.send(
        exec_event(
            "ssh",
            "-oProxyCommand=" + HOSTILE,
            HOSTILE,
            container=HOSTILE,
            host=HOSTILE,
            user=HOSTILE,
            image=HOSTILE,
            namespace=HOSTILE,
        )
    )
    server.send({"no": HOSTILE})
    return server


@pytest.fixture
def admin(filled: Server, open_as: Callable[..., Page]) -> Callable[..., Page]:
    """An admin's page, once the exclusion is there."""

    def opened(**more: object) -> Page:
        page = open_as("ada", **more)
        page.goto("/exclusions?show=all")
        if page.locator("a.dw-headline").count() == 0:
            page.goto("/exclusions/new?alert=1")
            page.get_by_label("Reason").fill("Known tunnel, see OPS-1.")
            page.get_by_text("Close alert #1 as false positive").uncheck()
            page.get_by_role("button", name="Save and make live").click()
            page.wait_for_url("**/exclusions/1")
            assert filled.send(
                exec_event("ssh", "-N", "-R", "0.0.0.0:2222:localhost:22", "ops@203.0.113.9")
            )["suppressed"]
        return page

    return opened


def path_of(page: Page, path: str) -> str:
    if "{rule}" not in path:
        return path
    page.goto("/rules")
    found = page.locator("main a[href^='/rules/']").first.get_attribute("href")
    assert found is not None
    return found


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node.get('failureSummary', '')}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_by_everybody_and_complains_of_nothing(
    filled: Server,
    admin: Callable[..., Page],
    browser_errors: BrowserErrors,
    scheme: Literal["light", "dark"],
) -> None:
    page = admin(color_scheme=scheme)
    wrong: dict[str, list[str]] = {}
    for name, path in PAGES.items():
        page.goto(path_of(page, path))
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        if found := violations(page):
            wrong[name] = found
    browser = page.context.browser
    assert browser is not None
    outside = browser.new_context(base_url=filled.url, color_scheme=scheme)
    browser_errors.listen(outside)
    stranger = outside.new_page()
    for name, path in OUTSIDE.items():
        stranger.goto(path)
        if found := violations(stranger):
            wrong[name] = found
    assert page.evaluate("window.pwned") is None
    outside.close()
    assert wrong == {}
    # The two pages that say "not found" are answered with 404, which the browser itself notes.
    meant = "the server responded with a status of 404"
    assert [told for told in browser_errors.told if meant not in told] == []


@pytest.mark.parametrize("width", [800, 1440])
def test_no_page_is_wider_than_the_window(admin: Callable[..., Page], width: int) -> None:
    page = admin(viewport={"width": width, "height": 900})
    wide = []
    for name, path in PAGES.items():
        page.goto(path_of(page, path))
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(name)
    assert wide == []


def test_a_first_visit_with_no_data_says_what_to_do(
    open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    page = open_as("ana")
    page.goto("/alerts?status=acknowledged&q=xyz")
    page.get_by_role("link", name="Clear", exact=False).first.click()
    assert browser_errors.told == []
