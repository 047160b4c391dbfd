"""Explain page in a browser: a pasted event is explained, with and without scripts."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import BrowserErrors
from tests.factories import benign_event, exec_event

NAME = "SSH launched inside a container"


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_pasted_event_is_explained_and_stays_in_the_form(
    open_as: Callable[..., Page], browser_errors: BrowserErrors, scripts: bool
) -> None:
    page = open_as("ana", java_script_enabled=scripts)
    page.goto("/rules")
    page.get_by_role("link", name="Explain an event").click()
    pasted = json.dumps(exec_event("ssh", "root@10.0.0.7"))
    page.get_by_label("Event", exact=True).fill(pasted)
    page.get_by_label("Rules", exact=True).select_option(label=NAME)
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("details.dw-explanation").first).to_contain_text(f"{NAME} matches")
    expect(page.locator("#result")).to_contain_text("In the event, process.name is “ssh”.")
    expect(page.get_by_label("Event", exact=True)).to_have_value(pasted)

    page.get_by_label("Event", exact=True).fill(json.dumps(benign_event()))
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("#result")).to_contain_text("does not match: 1 condition not met")
    expect(page.locator("#result")).to_contain_text("Expected: process.name is one of")

    page.get_by_label("Event", exact=True).fill("{")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("#result")).to_contain_text("would be quarantined")
    assert browser_errors.messages == []
