"""Two hundred hostile strings in everything a page shows: nothing runs, no row breaks, all is visible."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import BrowserErrors, Server
from tests.hostile_input.text import HOSTILE, hostile_event

# What no page may say as it is: controls, direction changes, separators, what has no width.
NEVER_RAW = frozenset(
    [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
    + list("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    + list("\u200b\u2060\ufeff\u2028\u2029\u00ad")
)


@pytest.fixture(scope="module")
def attacked(server: Server) -> Server:
    """One alert for each string, which is in all of its fields."""
    for start in range(0, len(HOSTILE), 20):
        some = HOSTILE[start : start + 20]
        events = [hostile_event(text, f"hostile-{start + n}") for n, text in enumerate(some)]
        receipt = server.send(*events)
        assert (receipt["matched"], receipt["rejected"]) == (len(events), [])
    return server


def assert_calm(page: Page, server: Server, browser_errors: BrowserErrors, where: str) -> None:
    """No script ran or tried to, and what the page says holds nothing that hides."""
    # A text box holds values as they are, since they are sent back; the page says beside it what hides.
    page.evaluate("document.querySelectorAll('textarea').forEach(box => box.remove())")
    text = page.locator("body").inner_text()
    assert NEVER_RAW.isdisjoint(text), where
    assert page.url.startswith(server.url), where
    assert browser_errors.told == [], where


def test_no_hostile_string_breaks_the_list(
    attacked: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    assert len(HOSTILE) >= 200
    page = open_as("ada")
    page.goto("/alerts?status=all")
    seen = 0
    while True:
        rows = page.locator("tr[data-row]")
        shapes: list[dict[str, float]] = page.evaluate(
            """Array.from(document.querySelectorAll("tr[data-row]"), row => {
                const box = row.getBoundingClientRect();
                return {height: box.height, right: box.right, cells: row.cells.length};
            })"""
        )
        seen += rows.count()
        assert {shape["cells"] for shape in shapes} == {8}
        assert max(shape["height"] for shape in shapes) < 150
        assert max(shape["right"] for shape in shapes) <= 1440
        assert_calm(page, attacked, browser_errors, page.url)
        older = page.locator("#list-older")
        if older.count() == 0:
            break
        page.goto(str(older.get_attribute("href")))
    assert seen == len(HOSTILE)


def test_no_hostile_string_breaks_its_alert_or_its_exclusion(
    attacked: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    page = open_as("ada")
    for number, text in enumerate(HOSTILE, start=1):
        paths = [f"/alerts/{number}"]
        if number % 4 == 0:  # a quarter of them tells enough, and spares a minute
            paths.append(f"/exclusions/new?alert={number}")
        for path in paths:
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 200, (path, text[:50])
            assert_calm(page, attacked, browser_errors, path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 1440, (path, text[:50])
