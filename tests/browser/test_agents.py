"""Page of one agent and the quarantine in a browser: chart, table without scripts, retry and delete."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import BrowserErrors, Server
from tests.factories import exec_event

# True if any pixel of the canvas is not transparent.
CHART_IS_DRAWN = """() => {
    const canvas = document.querySelector("[data-chart-canvas] canvas");
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some(value => value !== 0);
}"""

# Resolves after the callbacks of the next two animation frames.
TWO_FRAMES = """() => new Promise(done => requestAnimationFrame(
    () => setTimeout(() => requestAnimationFrame(() => setTimeout(done)))))"""


@pytest.fixture
def busy(server: Server) -> Server:
    server.send(exec_event(), {"no": "event"})
    return server


def test_the_chart_is_redrawn_for_another_time_range_and_width(
    busy: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    page = open_as("ana")
    page.goto("/agents/1")
    expect(page.locator("#traffic canvas")).to_have_count(1)
    assert page.evaluate(CHART_IS_DRAWN)
    expect(page.locator("tr[data-time]")).to_have_count(60)
    page.get_by_role("link", name="Last day").click()
    expect(page.locator("tr[data-time]")).to_have_count(96)
    expect(page.locator("#traffic canvas")).to_have_count(1)
    assert page.evaluate(CHART_IS_DRAWN)
    assert page.url.endswith("/agents/1?over=day")
    page.set_viewport_size({"width": 800, "height": 900})
    expect(page.locator("#traffic .uplot")).to_have_css("width", "734px")
    assert browser_errors.messages == []


def test_hovering_over_the_chart_shows_the_values(
    busy: Server, open_as: Callable[..., Page]
) -> None:
    page = open_as("ana")
    page.goto("/agents/1")
    page.locator("#traffic .u-over").hover()
    expect(page.locator("[data-chart-readout]")).to_contain_text("UTC")
    expect(page.locator("[data-chart-readout]")).to_contain_text("events")


def test_the_chart_follows_the_system_colour_scheme(
    busy: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    page = open_as("ana", color_scheme="light")
    page.goto("/agents/1")
    first = page.locator("#traffic canvas").evaluate("canvas => canvas.toDataURL()")
    page.emulate_media(color_scheme="dark")
    page.evaluate(TWO_FRAMES)
    expect(page.locator("#traffic canvas")).to_have_count(1)
    assert page.locator("#traffic canvas").evaluate("canvas => canvas.toDataURL()") != first
    assert browser_errors.messages == []


def test_without_scripts_the_table_shows_the_values(
    busy: Server, open_as: Callable[..., Page]
) -> None:
    page = open_as("ana", java_script_enabled=False)
    page.goto("/agents/1?over=week")
    expect(page.locator("[data-chart-canvas]")).to_be_hidden()
    page.get_by_text("Show the numbers as a table").click()
    expect(page.get_by_role("columnheader", name="Bytes per minute")).to_be_visible()
    expect(page.locator("#traffic-table tbody tr")).to_have_count(84)


def test_a_quarantined_event_is_retried_and_deleted(
    busy: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    page = open_as("ada")
    page.goto("/quarantine")
    page.locator("#list table a").first.click()
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#notice")).to_contain_text("still cannot be parsed")
    before = page.locator("#list tbody tr").count()
    page.locator("#list table a").first.click()
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete event").click()
    expect(page.locator("#notice")).to_contain_text("1 event was deleted.")
    expect(page.locator("#list tbody tr")).to_have_count(before - 1)
    assert browser_errors.messages == []


def test_a_new_key_waits_for_its_first_event_and_shows_when_it_arrives(
    server: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    page = open_as("ada")
    page.goto("/agents")
    page.get_by_label("Name", exact=True).fill("edge")
    page.get_by_role("button", name="Create key").click()
    status = page.get_by_role("status").filter(has_text="first event")
    expect(status).to_contain_text("Waiting for the first event.")
    key = page.locator(".dw-one-time-secret code").inner_text()
    server.send(exec_event(), key=key)
    connected = page.locator("#connection")
    expect(connected).to_contain_text("Connected. The newest event arrived at", timeout=15_000)
    expect(connected).not_to_have_attribute("hx-get", "/agents/2")
    # The key stays on the page.
    assert page.locator(".dw-one-time-secret code").inner_text() == key


def test_a_new_key_whose_first_event_is_rejected_links_to_the_reason(
    server: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    page = open_as("ada")
    page.goto("/agents")
    page.get_by_label("Name", exact=True).fill("edge-2")
    page.get_by_role("button", name="Create key").click()
    key = page.locator(".dw-one-time-secret code").inner_text()
    server.send({"no": "event"}, key=key)
    connected = page.locator("#connection")
    expect(connected).to_contain_text("Some events could not be parsed", timeout=15_000)
    connected.get_by_role("link", name="see why").click()
    expect(page.get_by_text("no known agent format").first).to_be_visible()
