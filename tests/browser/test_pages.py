"""Every page in a browser: accessibility (axe), console errors, and horizontal overflow."""

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
    "alerts, no match": "/alerts?q=nothing-like-this",
    "alerts, invalid filter": "/alerts?severity=enormous",
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
    "rules, no match": "/rules?state=disabled&q=nothing-like-this",
    "rule": "/rules/{rule}",
    "explain": "/explain",
    "explain, a match": "/explain?alert=1&rule=all",
    "explain, hostile": "/explain?alert=2&rule=all",
    "agents": "/agents",
    "agents, elastic": "/agents?connect=elastic",
    "agents, no match": "/agents?q=nothing-like-this",
    "agent": "/agents/1",
    "agent, last week": "/agents/1?over=week",
    "quarantine": "/quarantine",
    "quarantine, no match": "/quarantine?reason=nothing-like-this",
    "quarantined event": "/quarantine/1",
    "users": "/users",
    "account": "/account",
    "audit": "/audit",
    "api": "/api/docs",
    "not found": "/alerts/99999",
}
SIGNED_OUT_PAGES = {"login": "/login", "used link": "/setup/gone"}


@pytest.fixture(scope="module")
def filled(server: Server) -> Server:
    """A server with a normal alert, an alert with hostile text, and a quarantined event."""
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
    """Open a page as an admin, after creating an exclusion with a suppressed match."""

    def open_page(**options: object) -> Page:
        page = open_as("ada", **options)
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

    return open_page


def path_of(page: Page, path: str) -> str:
    if "{rule}" not in path:
        return path
    page.goto("/rules")
    href = page.locator("main a[href^='/rules/']").first.get_attribute("href")
    assert href is not None
    return href


def violations(page: Page) -> list[str]:
    response = Axe().run(page).response
    return [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')}"
        for violation in response["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_reports_no_errors(
    filled: Server,
    admin: Callable[..., Page],
    browser_errors: BrowserErrors,
    scheme: Literal["light", "dark"],
) -> None:
    page = admin(color_scheme=scheme)
    violations_by_page: dict[str, list[str]] = {}
    for name, path in PAGES.items():
        page.goto(path_of(page, path))
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        if page_violations := violations(page):
            violations_by_page[name] = page_violations
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(base_url=filled.url, color_scheme=scheme)
    browser_errors.listen(context)
    signed_out = context.new_page()
    for name, path in SIGNED_OUT_PAGES.items():
        signed_out.goto(path)
        if page_violations := violations(signed_out):
            violations_by_page[name] = page_violations
    assert page.evaluate("window.pwned") is None
    context.close()
    assert violations_by_page == {}
    # The browser logs the expected 404 responses of the two "not found" pages.
    expected = "the server responded with a status of 404"
    assert [message for message in browser_errors.messages if expected not in message] == []


@pytest.mark.parametrize("width", [800, 1440])
def test_no_page_is_wider_than_the_window(admin: Callable[..., Page], width: int) -> None:
    page = admin(viewport={"width": width, "height": 900})
    wide_pages = []
    for name, path in PAGES.items():
        page.goto(path_of(page, path))
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide_pages.append(name)
    assert wide_pages == []


def test_clearing_a_filter_reports_no_errors(
    open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    page = open_as("ana")
    page.goto("/alerts?status=acknowledged&q=xyz")
    page.get_by_role("link", name="Clear", exact=False).first.click()
    assert browser_errors.messages == []
