"""Hostile strings in every field of an alert: no script runs, no row breaks, no character is hidden."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import BrowserErrors, Server
from tests.hostile_input.text import HOSTILE, hostile_event

# Characters that pages must escape: controls, direction changes, separators and zero-width characters.
NEVER_RAW = frozenset(
    [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
    + list("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    + list("\u200b\u2060\ufeff\u2028\u2029\u00ad")
)


@pytest.fixture(scope="module")
def attacked(server: Server) -> Server:
    """A server with one alert per hostile string, which is in all fields of the alert."""
    for start in range(0, len(HOSTILE), 20):
        batch = HOSTILE[start : start + 20]
        events = [hostile_event(text, f"hostile-{start + n}") for n, text in enumerate(batch)]
        receipt = server.send(*events)
        assert (receipt["matched"], receipt["rejected"]) == (len(events), [])
    return server


def assert_harmless(page: Page, server: Server, browser_errors: BrowserErrors, path: str) -> None:
    """Check that no script ran and that the text of the page has no hidden characters."""
    # Text boxes keep raw values, which the form sends back; the page lists hidden characters beside them.
    page.evaluate("document.querySelectorAll('textarea').forEach(box => box.remove())")
    text = page.locator("body").inner_text()
    assert NEVER_RAW.isdisjoint(text), path
    assert page.url.startswith(server.url), path
    assert browser_errors.messages == [], path


def test_no_hostile_string_breaks_the_list(
    attacked: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    assert len(HOSTILE) >= 200
    page = open_as("ada")
    page.goto("/alerts?status=all")
    row_count = 0
    while True:
        rows = page.locator("tr[data-row]")
        shapes: list[dict[str, float]] = page.evaluate(
            """Array.from(document.querySelectorAll("tr[data-row]"), row => {
                const box = row.getBoundingClientRect();
                return {height: box.height, right: box.right, cells: row.cells.length};
            })"""
        )
        row_count += rows.count()
        assert {shape["cells"] for shape in shapes} == {8}
        assert max(shape["height"] for shape in shapes) < 150
        assert max(shape["right"] for shape in shapes) <= 1440
        assert_harmless(page, attacked, browser_errors, page.url)
        older = page.locator("#list-older")
        if older.count() == 0:
            break
        page.goto(str(older.get_attribute("href")))
    assert row_count == len(HOSTILE)


def test_no_hostile_string_breaks_its_alert_or_its_exclusion(
    attacked: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    page = open_as("ada")
    for number, text in enumerate(HOSTILE, start=1):
        paths = [f"/alerts/{number}"]
        if number % 4 == 0:  # a quarter is representative and saves a minute
            paths.append(f"/exclusions/new?alert={number}")
        for path in paths:
            response = page.goto(path)
            assert response is not None
            assert response.status == 200, (path, text[:50])
            assert_harmless(page, attacked, browser_errors, path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 1440, (path, text[:50])
