"""Workflows in a browser: exclusions, alerts, live updates, filters, keyboard shortcuts, theme."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import BrowserErrors, Server
from tests.factories import exec_event

# The browser logs the 422 response to an invalid form.
INVALID_FORM_MESSAGE = "the server responded with a status of 422"

BOTH = pytest.mark.parametrize("scripts", [True, False], ids=["with htmx", "without JavaScript"])


@BOTH
def test_an_exclusion_from_an_alert_suppresses_matches_until_it_ends(
    server: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors, scripts: bool
) -> None:
    container = "argo-scripts" if scripts else "argo-plain"

    def event() -> dict[str, object]:
        return exec_event("ssh", "git@git.corp.example", container=container, image=container)

    assert server.send(event())["matched"] == 1
    page = open_as("ada", java_script_enabled=scripts)
    page.goto(f"/alerts?q={container}")
    page.locator("a.dw-headline").click()
    page.get_by_role("link", name="Add exclusion").click()
    expect(page.get_by_label("Values of condition 1, one per line")).to_have_value(container)
    page.get_by_label("Remove condition 2").click()
    expect(page.get_by_label("Values of condition 4, one per line")).to_have_value(
        "git.corp.example"
    )
    expect(page.get_by_label("Values of condition 5, one per line")).to_have_count(0)
    page.get_by_role("button", name="Save and make live").click()
    expect(page.get_by_text("Enter why these matches are harmless.")).to_be_visible()
    page.get_by_label("Reason").fill("Argo clones over ssh.")
    page.get_by_role("button", name="Save and make live").click()
    expect(page.locator("#notice")).to_contain_text("The exclusion is live")
    receipt = server.send(event())
    assert (receipt["matched"], receipt["suppressed"]) == (1, 1)
    page.reload()
    expect(page.locator("#matches")).to_contain_text("git.corp.example")
    page.locator("summary", has_text="End exclusion").click()
    page.get_by_role("button", name=re.compile("^End")).click()
    expect(page.locator("#notice")).to_contain_text("The exclusion has ended")
    assert server.send(event())["suppressed"] == 0
    page.goto(f"/alerts?q={container}")
    expect(page.locator("a.dw-headline")).to_have_count(1)
    assert [
        message for message in browser_errors.messages if INVALID_FORM_MESSAGE not in message
    ] == []


@BOTH
def test_an_alert_is_acknowledged_investigated_and_closed(
    server: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors, scripts: bool
) -> None:
    container = "case-scripts" if scripts else "case-plain"
    server.send(exec_event(container=container))
    page = open_as("ana", java_script_enabled=scripts)
    page.goto(f"/alerts?q={container}")
    page.locator("a.dw-headline").click()
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#alert")).to_contain_text("Acknowledged")
    page.get_by_role("checkbox", name="Step 1 done").click()
    expect(page.get_by_role("checkbox", name="Step 1 done")).to_be_checked()
    expect(page.locator("#guide")).to_contain_text("Triage 1/5")
    page.get_by_role("link", name=re.compile("Response")).click()
    expect(page.locator("#guide")).to_contain_text("Response 0/7")
    page.get_by_placeholder("What did you find?").fill("Asked the owner.")
    page.get_by_role("button", name="Comment").click()
    expect(page.locator("#activity")).to_contain_text("Asked the owner.")
    page.locator("summary", has_text="Close as").click()
    page.get_by_label("Benign true positive").check()
    page.get_by_role("button", name="Close this alert").click()
    expect(page.get_by_text("Enter a reason.")).to_be_visible()
    expect(page.get_by_label("Benign true positive")).to_be_checked()
    page.locator("#reason").fill("A migration, ticket OPS-4.")
    page.get_by_role("button", name="Close this alert").click()
    expect(page.locator("#alert")).to_contain_text("Closed as benign true positive")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#alert")).to_contain_text("Open")
    assert [
        message for message in browser_errors.messages if INVALID_FORM_MESSAGE not in message
    ] == []


def test_a_new_alert_appears_in_the_open_list(
    server: Server, open_as: Callable[..., Page], browser_errors: BrowserErrors
) -> None:
    page = open_as("ana")
    page.goto("/alerts?q=appears")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    expect(page.get_by_text("No alerts match these filters")).to_be_visible()
    server.send(exec_event(container="appears-now"))
    expect(page.locator("a.dw-headline")).to_have_count(1)
    assert browser_errors.messages == []


def test_filters_are_in_the_url_and_back_restores_the_list(
    server: Server, open_as: Callable[..., Page]
) -> None:
    server.send(exec_event(container="filter-me"), exec_event(container="other-one"))
    page = open_as("ana")
    page.goto("/alerts")
    page.get_by_label("Search alerts").fill("filter-me")
    page.get_by_label("Search alerts").press("Enter")
    expect(page.locator("a.dw-headline")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"q=filter-me"))
    page.get_by_label("Order").select_option("rarity")
    expect(page).to_have_url(re.compile(r"sort=rarity"))
    page.locator("a.dw-headline").click()
    expect(page.locator("#alert-title")).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Search alerts")).to_have_value("filter-me")
    expect(page.locator("a.dw-headline")).to_have_count(1)
    page.go_back()
    page.go_back()
    expect(page.get_by_label("Search alerts")).to_have_value("")


def test_the_keyboard_moves_selects_and_acknowledges(
    server: Server, open_as: Callable[..., Page]
) -> None:
    server.send(exec_event(container="keys-1"), exec_event(container="keys-2"))
    page = open_as("ana")
    page.goto("/alerts?q=keys-")
    expect(page.locator("a.dw-headline")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("input[name=alert]:checked")).to_have_count(1)
    page.keyboard.press("e")
    expect(page.locator("a.dw-headline")).to_have_count(1)
    expect(page.locator("#notice")).to_contain_text("1 alert acknowledged")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_conflict_shows_the_other_change_and_keeps_the_reason(
    server: Server, open_as: Callable[..., Page]
) -> None:
    server.send(exec_event(container="stale-one"))
    mine, theirs = open_as("ana"), open_as("ada")
    for page in (mine, theirs):
        page.goto("/alerts?q=stale-one")
        page.locator("a.dw-headline").click()
    theirs.get_by_role("button", name="Acknowledge").click()
    expect(theirs.locator("#alert")).to_contain_text("Acknowledged")
    mine.locator("summary", has_text="Close as").click()
    mine.get_by_label("False positive", exact=True).check()
    mine.locator("#reason").fill("Mine.")
    mine.get_by_role("button", name="Close this alert").click()
    expect(mine.locator("#alert")).to_contain_text("ada acknowledged it")
    expect(mine.locator("#reason")).to_have_value("Mine.")
    mine.get_by_role("button", name="Close this alert").click()
    expect(mine.locator("#alert")).to_contain_text("Closed as false positive")


def test_the_selected_theme_is_kept(open_as: Callable[..., Page]) -> None:
    page = open_as("ana", color_scheme="light")
    page.goto("/rules")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    page.get_by_role("button", name="Dark").click()
    expect(page).to_have_url(re.compile("/rules"))
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
