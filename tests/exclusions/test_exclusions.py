"""The exclusion pages: create from an alert, propose, approve, edit, end, and the matches they suppress."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from sqlmodel import select

from app.domain.principal import Role
from app.store.database import Database
from app.store.tables import Alert, ExclusionVersion, Match
from tests.conftest import AgentClient, FakeClock, UserClient
from tests.factories import exec_event


def read_form(page: str) -> dict[str, Any]:
    """Return the fields of the exclusion form as a browser posts them."""
    form = page[page.index('<form id="form"') :]
    form = form[: form.index("</form>")]
    fields: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]+>", form):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if attributes.get("type") == "checkbox" and " checked" not in tag:
            continue
        fields[attributes["name"]] = unescape(attributes["value"])
    for name, body in re.findall(
        r'<textarea[^>]* name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, re.S
    ):
        fields[name] = unescape(body)
    for name, body in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        selected = re.search(r'<option value="([^"]*)" selected', body)
        fields[name] = unescape(selected[1]) if selected else ""
    del fields["csrf"]  # UserClient.post adds its own
    return fields


def propose_from_alert(user: UserClient, **changes: str) -> Any:
    """Open the form from alert 1, apply `changes` and save."""
    fields = read_form(user.get("/exclusions/new?alert=1").text)
    fields |= {"reason": "Deploys over ssh, see OPS-9.", **changes}
    return user.post("/exclusions", {**fields, "submit": "save"})


def test_the_form_is_filled_in_from_the_alert(agent: AgentClient, analyst: UserClient) -> None:
    agent.send_events(exec_event())
    fields = read_form(analyst.get("/exclusions/new?alert=1").text)
    rows = {fields[f"field-{n}"]: fields[f"values-{n}"] for n in range(5)}
    assert rows == {
        "container.image.name": "shop/web",
        "orchestrator.namespace": "prod",
        "user.name": "nginx",
        "process.name": "ssh",
        "ssh.destination": "10.42.3.17",
    }
    assert fields["alert"] == "1"
    assert fields["owner"] == "ana"


def test_a_covered_match_is_stored_and_opens_no_alert(
    agent: AgentClient, admin: UserClient, database: Database
) -> None:
    agent.send_events(exec_event())
    assert propose_from_alert(admin).headers["location"] == "/exclusions/1"
    receipt = agent.send_events(exec_event())
    assert (receipt["matched"], receipt["suppressed"]) == (1, 1)
    with database.read() as session:
        assert len(session.exec(select(Alert)).all()) == 1
        suppressed = session.exec(select(Match).where(Match.exclusion_id == 1)).one()
    assert (suppressed.exclusion_version, suppressed.alert_id) == (1, None)
    page = admin.get("/exclusions/1").text
    assert "1 match suppressed" in page
    assert 'href="/matches/2/event.json"' in page


def test_creating_an_exclusion_can_close_its_alert(
    agent: AgentClient, admin: UserClient, database: Database
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin)
    with database.read() as session:
        alert = session.exec(select(Alert)).one()
    assert (alert.status, alert.verdict) == ("closed", "false positive")
    assert alert.reason == "Covered by exclusion 1: Deploys over ssh, see OPS-9."
    assert "created an exclusion from the alert" in admin.get("/alerts/1").text


def test_a_match_for_which_one_condition_fails_is_not_suppressed(
    agent: AgentClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin)
    for other in ({"user": "root"}, {"namespace": "dev"}, {"image": "shop/evil"}):
        receipt = agent.send_events(exec_event(**other))
        assert (receipt["matched"], receipt["suppressed"]) == (1, 0)


def test_an_ended_exclusion_stops_suppressing_and_keeps_its_hidden_matches(
    agent: AgentClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin)
    agent.send_events(exec_event())
    assert admin.post("/exclusions/1/end", {"version": "1"}).status_code == 303
    assert agent.send_events(exec_event())["suppressed"] == 0
    page = admin.get("/exclusions/1").text
    assert 'href="/matches/2/event.json"' in page
    assert admin.post("/exclusions/1/end", {"version": "1"}).status_code == 409


def test_an_expired_exclusion_stops_suppressing(
    agent: AgentClient, admin: UserClient, clock: FakeClock
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin, ends_at="2026-11-30")
    clock.now = clock.now.replace(day=30, hour=23, minute=59)
    assert agent.send_events(exec_event())["suppressed"] == 1
    clock.advance(minutes=1)
    assert agent.send_events(exec_event())["suppressed"] == 0


def test_an_analysts_exclusion_takes_effect_after_an_admin_approves_it(
    agent: AgentClient, analyst: UserClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(analyst)
    assert agent.send_events(exec_event())["suppressed"] == 0
    assert analyst.post("/exclusions/1/approve", {"version": "1"}).status_code == 403
    assert agent.send_events(exec_event())["suppressed"] == 0
    assert "to review" in admin.get("/alerts").text
    assert admin.post("/exclusions/1/approve", {"version": "1"}).status_code == 303
    assert agent.send_events(exec_event())["suppressed"] == 1


def test_a_declined_exclusion_suppresses_nothing(
    agent: AgentClient, analyst: UserClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(analyst)
    admin.post("/exclusions/1/decline", {"version": "1"})
    assert agent.send_events(exec_event())["suppressed"] == 0
    assert admin.post("/exclusions/1/approve", {"version": "1"}).status_code == 409


def test_the_approved_version_stays_live_until_an_analysts_edit_is_approved(
    agent: AgentClient, analyst: UserClient, admin: UserClient, database: Database
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin)
    fields = read_form(analyst.get("/exclusions/1/edit").text)
    analyst.post("/exclusions/1/edit", {**fields, "values-2": "root", "submit": "save"})
    assert agent.send_events(exec_event())["suppressed"] == 1
    assert agent.send_events(exec_event(user="root"))["suppressed"] == 0
    admin.post("/exclusions/1/approve", {"version": "2"})
    assert agent.send_events(exec_event())["suppressed"] == 0
    assert agent.send_events(exec_event(user="root"))["suppressed"] == 1
    with database.read() as session:
        versions = session.exec(select(ExclusionVersion).order_by("version")).all()
    assert [v.conditions[2]["values"] for v in versions] == [["nginx"], ["root"]]


def test_an_edit_of_an_old_version_shows_the_changes_and_keeps_the_input(
    agent: AgentClient, admin: UserClient, sign_in: Callable[[str, Role], UserClient]
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin)
    other = sign_in("bea", Role.ADMIN)
    fields = read_form(admin.get("/exclusions/1/edit").text)
    other.post(
        "/exclusions/1/edit", {**fields, "owner": "platform", "reason": "Theirs.", "submit": "save"}
    )
    mine = {**fields, "reason": "My own new reason.", "submit": "save"}
    response = admin.post("/exclusions/1/edit", mine)
    assert response.status_code == 409
    page = response.text
    assert "bea saved version 2" in unescape(re.sub(r"<[^>]+>", "", page))
    assert "platform" in page
    assert "Theirs." in page
    again = read_form(page)
    assert (again["reason"], again["base_version"]) == ("My own new reason.", "2")
    assert admin.post("/exclusions/1/edit", {**again, "submit": "save"}).status_code == 303


INVALID_CHANGES: list[tuple[dict[str, str], str]] = [
    ({"reason": " "}, "Enter why these matches are harmless."),
    ({"reason": "x" * 2001}, "Enter at most 2000 characters"),
    ({"owner": ""}, "Enter the user or team"),
    ({"ends_at": "tomorrow"}, "Enter an end date."),
    ({"ends_at": "2026-11-01"}, "The end must be in the future."),
    ({"ends_at": "2031-01-01"}, "The end may be at most 90 days ahead."),
    ({"field-0": "container.imgae"}, "Unknown field"),
    ({"operator-0": "equals"}, "Unknown operator"),
    ({"values-0": ""}, "needs a value"),
    ({"values-0": "a\nb"}, "takes one value"),
    ({"rule": "no-such-rule"}, "Choose a rule"),
]


@pytest.mark.parametrize(("change", "message"), INVALID_CHANGES)
def test_an_invalid_field_shows_an_error_and_keeps_the_input(
    agent: AgentClient, admin: UserClient, change: dict[str, str], message: str
) -> None:
    agent.send_events(exec_event())
    response = propose_from_alert(admin, **change)
    assert response.status_code == 422
    assert message in unescape(response.text)
    fields = read_form(response.text)
    for name, value in change.items():
        if name not in ("rule", "operator-0"):  # a select shows only its own options
            assert fields[name].strip() == value.strip()


def test_conditions_that_are_too_broad_are_refused(agent: AgentClient, admin: UserClient) -> None:
    agent.send_events(exec_event())
    fields = read_form(admin.get("/exclusions/new?alert=1&fields=process.name").text)
    response = admin.post("/exclusions", {**fields, "reason": "All ssh.", "submit": "save"})
    assert response.status_code == 422
    assert "These conditions are too broad" in response.text


def test_adding_and_removing_conditions_saves_nothing_and_keeps_the_input(
    agent: AgentClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    page = admin.get("/exclusions/new?alert=1").text
    fields = {**read_form(page), "reason": "half a sen"}
    host = unescape(re.findall(r'name="add" value="([^"]*host\.name[^"]*)"', page)[0])
    page = admin.post("/exclusions", {**fields, "add": host}).text
    added = read_form(page)
    assert (added["field-5"], added["values-5"]) == ("host.name", "node-11")
    assert added["reason"] == "half a sen"
    page = admin.post("/exclusions", {**added, "remove": "0"}).text
    assert read_form(page)["field-0"] == "orchestrator.namespace"
    assert "No exclusions" in admin.get("/exclusions?show=all").text


def test_the_form_warns_if_the_conditions_do_not_cover_its_alert(
    agent: AgentClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    fields = read_form(admin.get("/exclusions/new?alert=1").text)
    page = admin.post("/exclusions", {**fields, "values-2": "somebody", "add": "blank"}).text
    page = admin.post("/exclusions", {**read_form(page), "remove": "5"}).text
    assert "These conditions do not cover the alert." in page


def test_proposal_approval_and_end_are_in_the_audit_log(
    agent: AgentClient, analyst: UserClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(analyst)
    admin.post("/exclusions/1/approve", {"version": "1"})
    admin.post("/exclusions/1/end", {"version": "1"})
    text = unescape(re.sub(r"<[^>]+>", " ", admin.get("/audit").text))
    for action in ("exclusion.proposed", "exclusion.approved", "exclusion.ended"):
        assert action in text
    assert "user.name is nginx" in text


def test_a_wildcard_matches_the_whole_value(agent: AgentClient, admin: UserClient) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin, **{"operator-0": "matches", "values-0": "shop/*"})
    assert agent.send_events(exec_event(image="shop/other"))["suppressed"] == 1
    assert agent.send_events(exec_event(image="xshop/other"))["suppressed"] == 0


def test_values_with_invisible_characters_survive_the_form(
    agent: AgentClient, admin: UserClient
) -> None:
    """The image name contains U+200B, a bidirectional override, a lone surrogate and NUL."""
    agent.send_events(exec_event(image="shop/\u200bweb\u202e\udcff\x00"))
    page = admin.get("/exclusions/new?alert=1").text
    assert "This value contains invisible characters:" in page
    assert propose_from_alert(admin).status_code == 303
    assert agent.send_events(exec_event(image="shop/\u200bweb\u202e\udcff\x00"))["suppressed"] == 1
    assert agent.send_events(exec_event(image="shop/web"))["suppressed"] == 0
