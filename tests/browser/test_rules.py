"""Disabling and enabling a rule in a browser, with and without scripts."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import BrowserErrors

NAME = "SSH launched inside a container"
SEARCH = "ssh_in_container.toml"
VIEW = f"/rules?q={SEARCH}"


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_disabling_a_rule_in_the_list_keeps_the_filter(
    open_as: Callable[..., Page], browser_errors: BrowserErrors, scripts: bool
) -> None:
    page = open_as("ada", java_script_enabled=scripts)
    page.goto(VIEW)
    row = page.locator("tr", has_text=NAME)
    row.get_by_role("button", name=f"Disable {NAME}", exact=True).click()
    expect(page.locator("#notice")).to_contain_text("existing alerts stay")
    expect(row).to_contain_text("disabled")
    expect(page.locator("#q")).to_have_value(SEARCH)
    page.locator("#notice").get_by_role("button", name="Undo").click()
    expect(row.get_by_role("button", name=f"Disable {NAME}", exact=True)).to_be_visible()
    expect(row).to_contain_text("enabled")
    assert browser_errors.messages == []


def test_the_pressed_button_keeps_the_focus(open_as: Callable[..., Page]) -> None:
    page = open_as("ada")
    page.goto(VIEW)
    page.get_by_role("button", name=f"Disable {NAME}", exact=True).press("Enter")
    expect(page.get_by_role("button", name=f"Enable {NAME}", exact=True)).to_be_focused()
    page.get_by_role("button", name=f"Enable {NAME}", exact=True).press("Enter")
    expect(page.get_by_role("button", name=f"Disable {NAME}", exact=True)).to_be_focused()


def test_a_rule_is_disabled_and_enabled_on_its_page(open_as: Callable[..., Page]) -> None:
    page = open_as("ada")
    page.goto(VIEW)
    page.get_by_role("link", name=NAME, exact=True).click()
    page.get_by_role("button", name=f"Disable {NAME}", exact=True).click()
    state = page.get_by_role("region", name="State")
    expect(state).to_contain_text("Disabled by ada just now; enabled by default.")
    state.get_by_role("button", name=f"Enable {NAME}", exact=True).click()
    expect(state).to_contain_text("Enabled by ada just now.")


def test_an_analyst_has_no_button_to_disable_a_rule(open_as: Callable[..., Page]) -> None:
    page = open_as("ana")
    page.goto(VIEW)
    expect(page.locator("tr", has_text=NAME)).to_contain_text("enabled")
    assert page.get_by_role("button", name=NAME).count() == 0
