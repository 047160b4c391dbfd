"""Enabling and disabling rules: effect on events, audit log, conflicts, several processes."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.actions import api_keys
from app.domain.ecs_fields import Document
from app.domain.event import Event, event_from_ecs
from app.domain.principal import CLI_PRINCIPAL, Role
from app.main import create_app
from app.settings import Settings
from app.store import audit, rule_overrides
from app.store.database import Database
from app.web import live
from app.web.services import Services
from tests.conftest import ORIGIN, AgentClient, FakeClock, UserClient
from tests.factories import exec_event
from tests.processes import COMMAND, run, running_server, wait_until

ON, OFF = "sample-on", "sample-off"
RULE = """[rule]
rule_id = "{name}"
name = "The {name}"
description = "For tests."
severity = "low"
risk_score = 21
type = "eql"
language = "eql"
enabled = {enabled}
query = 'process where process.name == "{name}"'
"""


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with two more rules: one enabled in its file and one disabled."""
    folder = tmp_path / "more"
    folder.mkdir()
    for name, enabled in ((ON, "true"), (OFF, "false")):
        (folder / f"{name}.toml").write_text(RULE.format(name=name, enabled=enabled))
    return settings.model_copy(update={"rules": (folder,)})


def switch_rule(user: UserClient, rule_id: str, enabled: str, **more: Any) -> Any:
    return user.post(f"/rules/{rule_id}/switch", {"enabled": enabled, **more})


def audit_entries(database: Database) -> list[tuple[str, str, str, str]]:
    """Return (actor, action, subject, detail) of the audit entries about rules, oldest first."""
    with database.read() as session:
        entries = audit.search(session, audit.AuditFilter(action="rule."), 50)
        assert audit.first_invalid_entry(session) is None
    return [(entry.actor, entry.action, entry.subject, entry.detail) for entry in reversed(entries)]


# ---- effect on events ----


def test_a_disabled_rule_matches_no_event_and_keeps_its_alerts(
    agent: AgentClient, admin: UserClient
) -> None:
    assert agent.send_events(exec_event(ON))["matched"] == 1
    response = switch_rule(admin, ON, "no")
    assert (response.status_code, response.headers["location"]) == (303, f"/rules/{ON}")
    assert agent.send_events(exec_event(ON))["matched"] == 0
    assert "1 of 1 alert" in admin.get("/alerts").text
    assert admin.get("/alerts/1").status_code == 200


def test_a_rule_that_was_enabled_again_matches_the_next_event(
    agent: AgentClient, admin: UserClient
) -> None:
    switch_rule(admin, ON, "no")
    switch_rule(admin, ON, "yes")
    assert agent.send_events(exec_event(ON))["matched"] == 1


def test_a_rule_disabled_in_its_file_can_be_enabled(agent: AgentClient, admin: UserClient) -> None:
    assert agent.send_events(exec_event(OFF))["matched"] == 0
    switch_rule(admin, OFF, "yes")
    assert agent.send_events(exec_event(OFF))["matched"] == 1


def test_events_are_accepted_with_every_rule_disabled(
    agent: AgentClient, admin: UserClient, services: Services
) -> None:
    for rule in services.rules.rules:
        switch_rule(admin, rule.id, "no")
    receipt = agent.send_events([exec_event(ON), {"not": "an event"}])
    assert (receipt["received"], receipt["matched"], len(receipt["rejected"])) == (2, 0, 1)


def test_the_state_of_a_rule_survives_a_restart(
    agent: AgentClient, admin: UserClient, settings: Settings, clock: FakeClock
) -> None:
    switch_rule(admin, ON, "no")
    switch_rule(admin, OFF, "yes")
    with TestClient(create_app(settings, clock=clock), base_url=ORIGIN) as restarted:
        again = AgentClient(restarted, agent.key)
        assert again.send_events(exec_event(ON))["matched"] == 0
        assert again.send_events(exec_event(OFF))["matched"] == 1


# ---- audit log, conflicts, permissions ----


def test_only_changes_of_the_state_are_in_the_audit_log(
    admin: UserClient, database: Database
) -> None:
    switch_rule(admin, ON, "yes")
    switch_rule(admin, ON, "no")
    switch_rule(admin, ON, "no")
    switch_rule(admin, ON, "yes")
    detail = "The sample-on (sample-on.toml)"
    assert audit_entries(database) == [
        ("ada", "rule.disabled", f"rule {ON}", detail),
        ("ada", "rule.enabled", f"rule {ON}", detail),
    ]
    assert f'<a href="/rules/{ON}">' in admin.get("/audit").text


def test_a_change_that_cannot_be_audited_is_rolled_back(
    agent: AgentClient, admin: UserClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError

    with monkeypatch.context() as patch:
        patch.setattr("app.store.audit.record", fail)
        with pytest.raises(LookupError):
            switch_rule(admin, ON, "no")
    assert agent.send_events(exec_event(ON))["matched"] == 1
    with database.read() as session:
        assert rule_overrides.list_all(session) == {}


def test_a_change_based_on_an_old_version_is_refused(
    agent: AgentClient, admin: UserClient, sign_in: Callable[[str, Role], UserClient]
) -> None:
    other = sign_in("bob", Role.ADMIN)
    switch_rule(admin, ON, "no", version="0")
    switch_rule(admin, ON, "yes", version="1")
    late = switch_rule(other, ON, "no", version="0", next="/rules?state=enabled")
    assert late.headers["location"] == "/rules?state=enabled"
    page = other.get("/rules?state=enabled").text
    assert "ada enabled the rule while you were viewing it. Nothing was changed." in page
    assert agent.send_events(exec_event(ON))["matched"] == 1


@pytest.mark.parametrize("enabled", ["", "maybe", "on"])
def test_invalid_form_fields_are_refused(
    agent: AgentClient, admin: UserClient, enabled: str
) -> None:
    assert switch_rule(admin, ON, enabled).status_code == 422
    assert switch_rule(admin, ON, "no", version="x").status_code == 422
    assert switch_rule(admin, ON, "no", surprise="x").status_code == 422
    assert agent.send_events(exec_event(ON))["matched"] == 1


def test_an_analyst_sees_the_state_but_cannot_change_it(
    agent: AgentClient, analyst: UserClient, database: Database
) -> None:
    assert switch_rule(analyst, ON, "no").status_code == 403
    assert agent.send_events(exec_event(ON))["matched"] == 1
    assert audit_entries(database) == []
    for path, text in (("/rules", "enabled</bdi>"), (f"/rules/{ON}", "Enabled</strong>")):
        page = analyst.get(path).text
        assert text in page
        assert "/switch" not in page


def test_changing_a_rule_redirects_only_to_pages_of_this_site(admin: UserClient) -> None:
    view = "/rules?q=ssh&state=enabled"
    assert switch_rule(admin, ON, "no", next=view).headers["location"] == view
    elsewhere = switch_rule(admin, ON, "yes", next="https://evil.example/")
    assert elsewhere.headers["location"] == f"/rules/{ON}"


def test_a_change_can_be_undone_from_its_notice(agent: AgentClient, admin: UserClient) -> None:
    page = admin.client.post(
        f"/rules/{ON}/switch",
        data={"csrf": admin.csrf_token(), "enabled": "no"},
        follow_redirects=True,
    ).text
    assert "is disabled. Matching events open no alerts from now on" in page
    notice = page[page.index("dw-notice") :]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', notice[: notice.index("</form>")]))
    assert admin.client.post(f"/rules/{ON}/switch", data=fields).status_code == 303
    assert agent.send_events(exec_event(ON))["matched"] == 1


# ---- more than one process ----


def enabled_rule_ids(services: Services) -> set[str]:
    """Return the ids of the rules that this instance evaluates now."""
    return {rule.id for rule in services.current_detector.detector.rules}


@contextmanager
def second_instance(settings: Settings, clock: FakeClock) -> Iterator[tuple[TestClient, Services]]:
    """Start another instance on the same database, as a second worker process does."""
    app = create_app(settings, clock=clock)
    with TestClient(app, base_url=ORIGIN) as client:
        yield client, app.state.services


def test_a_change_in_one_instance_reaches_the_other(
    agent: AgentClient,
    admin: UserClient,
    settings: Settings,
    clock: FakeClock,
    make_key: Callable[[str, Role], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "POLL_SECONDS", 0.01)
    headers = {"Authorization": f"Bearer {make_key('ops', Role.ADMIN)}"}
    with second_instance(settings, clock) as (client, _):
        other = AgentClient(client, agent.key)
        switch_rule(admin, ON, "no")
        wait_until(
            lambda: other.send_events(exec_event(ON))["matched"] == 0, "the other instance follows"
        )
        changed = client.patch(f"/api/v1/rules/{ON}", json={"enabled": True}, headers=headers)
        assert changed.json()["enabled"] is True
        # The instance that made the change applies it at once; the others poll.
        assert other.send_events(exec_event(ON))["matched"] == 1
        wait_until(
            lambda: agent.send_events(exec_event(ON))["matched"] == 1, "the first instance follows"
        )


def test_a_page_shows_a_change_of_another_process_before_the_next_poll(
    admin: UserClient, settings: Settings, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "POLL_SECONDS", 3600)
    switch_rule(admin, ON, "no")
    with second_instance(settings, clock) as (client, services):
        client.cookies = admin.client.cookies
        switch_rule(admin, ON, "yes")
        assert "Enabled</strong> by <bdi>ada</bdi>" in client.get(f"/rules/{ON}").text
        assert ON not in enabled_rule_ids(services)


def test_all_events_of_a_request_are_evaluated_with_the_same_rules(
    services: Services, admin: UserClient, agent: AgentClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that is disabled during a request still applies to the rest of that request."""
    documents: list[Document] = []

    def disable_rule_at_second_match(document: Document) -> Event:
        documents.append(document)
        if len(documents) == 2:
            switch_rule(admin, ON, "no")
            assert ON not in enabled_rule_ids(services)
        return event_from_ecs(document)

    monkeypatch.setattr("app.ingest.new_match.event_from_ecs", disable_rule_at_second_match)
    assert agent.send_events([exec_event(ON) for _ in range(5)])["matched"] == 5
    assert agent.send_events(exec_event(ON))["matched"] == 0


def test_worker_processes_apply_a_change_from_the_command_line_and_keep_it_after_a_restart(
    tmp_path: Path, database: Database, clock: FakeClock
) -> None:
    key = api_keys.create(database, "fleet", Role.AGENT, principal=CLI_PRINCIPAL, at=clock())[1]
    rules = str(tmp_path / "more")
    workers = (*COMMAND, "serve", "--port", "0", "--workers", "2")
    with running_server(tmp_path, workers, RULES=rules) as server:

        def matched() -> list[int]:
            # Either worker can accept a connection, so that twelve requests reach both.
            return [server.send(key, exec_event(ON))[2]["matched"] for _ in range(12)]

        assert matched() == [1] * 12
        assert run(tmp_path, "rules", "disable", ON, RULES=rules).returncode == 0
        wait_until(lambda: matched() == [0] * 12, "both workers follow")
        assert server.stop() == 0
    with running_server(tmp_path, RULES=rules) as server:
        assert matched() == [0] * 12
        assert server.stop() == 0
