"""Exclusions through the pages: made from an alert, proposed, approved, edited, ended; and what they hide."""

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
    """The fields of the exclusion form as a browser would send them."""
    form = page[page.index('<form id="form"') :]
    form = form[: form.index("</form>")]
    fields: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]+>", form):
        found = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if found.get("type") == "checkbox" and " checked" not in tag:
            continue
        fields[found["name"]] = unescape(found["value"])
    for name, body in re.findall(
        r'<textarea[^>]* name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, re.S
    ):
        fields[name] = unescape(body)
    for name, body in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', body)
        fields[name] = unescape(chosen[1]) if chosen else ""
    del fields["csrf"]  # whoever posts brings their own
    return fields


def propose_from_alert(person: UserClient, **changes: str) -> Any:
    """Open the form from an alert, change some fields, save."""
    fields = read_form(person.get("/exclusions/new?alert=1").text)
    fields |= {"reason": "Deploys over ssh, see OPS-9.", **changes}
    return person.post("/exclusions", {**fields, "submit": "save"})


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


def test_what_an_exclusion_covers_is_kept_and_raises_no_alert(
    agent: AgentClient, admin: UserClient, database: Database
) -> None:
    agent.send_events(exec_event())
    assert propose_from_alert(admin).headers["location"] == "/exclusions/1"
    receipt = agent.send_events(exec_event())
    assert (receipt["matched"], receipt["suppressed"]) == (1, 1)
    with database.read() as session:
        assert len(session.exec(select(Alert)).all()) == 1
        hidden = session.exec(select(Match).where(Match.exclusion_id == 1)).one()
    assert (hidden.exclusion_version, hidden.alert_id) == (1, None)
    page = admin.get("/exclusions/1").text
    assert "1 match hidden" in page
    assert 'href="/matches/2/event.json"' in page


def test_closing_the_alert_with_the_exclusion_is_one_step(
    agent: AgentClient, admin: UserClient, database: Database
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin)
    with database.read() as session:
        alert = session.exec(select(Alert)).one()
    assert (alert.status, alert.verdict) == ("closed", "false positive")
    assert alert.reason == "Covered by exclusion 1: Deploys over ssh, see OPS-9."
    assert "created an exclusion from the alert" in admin.get("/alerts/1").text


def test_a_match_that_differs_in_one_condition_still_alerts(
    agent: AgentClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin)
    for other in ({"user": "root"}, {"namespace": "dev"}, {"image": "shop/evil"}):
        receipt = agent.send_events(exec_event(**other))
        assert (receipt["matched"], receipt["suppressed"]) == (1, 0)


def test_an_ended_exclusion_no_longer_suppresses_and_keeps_what_it_hid(
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


def test_an_expired_exclusion_no_longer_suppresses(
    agent: AgentClient, admin: UserClient, clock: FakeClock
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin, ends_at="2026-11-30")
    clock.now = clock.now.replace(day=30, hour=23, minute=59)
    assert agent.send_events(exec_event())["suppressed"] == 1
    clock.advance(minutes=1)
    assert agent.send_events(exec_event())["suppressed"] == 0


def test_an_analysts_exclusion_hides_nothing_until_an_admin_approves_it(
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


def test_a_declined_exclusion_hides_nothing(
    agent: AgentClient, analyst: UserClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(analyst)
    admin.post("/exclusions/1/decline", {"version": "1"})
    assert agent.send_events(exec_event())["suppressed"] == 0
    assert admin.post("/exclusions/1/approve", {"version": "1"}).status_code == 409


def test_an_analysts_edit_leaves_the_approved_version_in_force(
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


def test_a_stale_edit_says_what_changed_and_keeps_what_was_typed(
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
    answer = admin.post("/exclusions/1/edit", mine)
    assert answer.status_code == 409
    page = answer.text
    assert "bea saved version 2" in unescape(re.sub(r"<[^>]+>", "", page))
    assert "platform" in page
    assert "Theirs." in page
    again = read_form(page)
    assert (again["reason"], again["base_version"]) == ("My own new reason.", "2")
    assert admin.post("/exclusions/1/edit", {**again, "submit": "save"}).status_code == 303


MISTAKES: list[tuple[dict[str, str], str]] = [
    ({"reason": " "}, "Say why these matches are harmless."),
    ({"reason": "x" * 2001}, "At most 2000 characters"),
    ({"owner": ""}, "Name a person or team"),
    ({"ends_at": "tomorrow"}, "Enter an end date."),
    ({"ends_at": "2026-11-01"}, "The end must be in the future."),
    ({"ends_at": "2031-01-01"}, "At most 90 days ahead."),
    ({"field-0": "container.imgae"}, "Unknown field"),
    ({"operator-0": "equals"}, "Unknown operator"),
    ({"values-0": ""}, "needs a value"),
    ({"values-0": "a\nb"}, "takes one value"),
    ({"rule": "no-such-rule"}, "Choose the rule"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_a_mistake_is_named_beside_its_field_and_nothing_typed_is_lost(
    agent: AgentClient, admin: UserClient, change: dict[str, str], words: str
) -> None:
    agent.send_events(exec_event())
    answer = propose_from_alert(admin, **change)
    assert answer.status_code == 422
    assert words in unescape(answer.text)
    kept = read_form(answer.text)
    for name, value in change.items():
        if name not in ("rule", "operator-0"):  # what no select offers, nobody typed
            assert kept[name].strip() == value.strip()


def test_conditions_that_constrain_nothing_specific_are_refused(
    agent: AgentClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    fields = read_form(admin.get("/exclusions/new?alert=1&fields=process.name").text)
    answer = admin.post("/exclusions", {**fields, "reason": "All ssh.", "submit": "save"})
    assert answer.status_code == 422
    assert "These conditions are too broad" in answer.text


def test_adding_and_removing_conditions_saves_nothing_and_keeps_the_rest(
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


def test_the_form_says_when_it_would_not_cover_its_own_alert(
    agent: AgentClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    fields = read_form(admin.get("/exclusions/new?alert=1").text)
    page = admin.post("/exclusions", {**fields, "values-2": "somebody", "add": "blank"}).text
    page = admin.post("/exclusions", {**read_form(page), "remove": "5"}).text
    assert "These conditions do not cover the alert." in page


def test_every_decision_is_in_the_audit_log(
    agent: AgentClient, analyst: UserClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(analyst)
    admin.post("/exclusions/1/approve", {"version": "1"})
    admin.post("/exclusions/1/end", {"version": "1"})
    told = unescape(re.sub(r"<[^>]+>", " ", admin.get("/audit").text))
    for action in ("exclusion.proposed", "exclusion.approved", "exclusion.ended"):
        assert action in told
    assert "user.name is nginx" in told


def test_a_wildcard_covers_what_it_says(agent: AgentClient, admin: UserClient) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin, **{"operator-0": "matches", "values-0": "shop/*"})
    assert agent.send_events(exec_event(image="shop/other"))["suppressed"] == 1
    assert agent.send_events(exec_event(image="xshop/other"))["suppressed"] == 0


def test_values_with_hidden_characters_come_back_as_they_were(
    agent: AgentClient, admin: UserClient
) -> None:
    """A zero-width space, an override and a lone surrogate in the image's name."""
    agent.send_events(exec_event(image="shop/\u200bweb\u202e\udcff\x00"))
    page = admin.get("/exclusions/new?alert=1").text
    assert "This value contains invisible characters:" in page
    assert propose_from_alert(admin).status_code == 303
    assert agent.send_events(exec_event(image="shop/\u200bweb\u202e\udcff\x00"))["suppressed"] == 1
    assert agent.send_events(exec_event(image="shop/web"))["suppressed"] == 0
