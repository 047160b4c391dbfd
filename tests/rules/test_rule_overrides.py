"""Rules are enabled and disabled while events arrive: obeyed at once, everywhere, and on the record."""

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
    """With two more rules: one that its file enables, and one that it does not."""
    folder = tmp_path / "more"
    folder.mkdir()
    for name, enabled in ((ON, "true"), (OFF, "false")):
        (folder / f"{name}.toml").write_text(RULE.format(name=name, enabled=enabled))
    return settings.model_copy(update={"rules": (folder,)})


def press(person: UserClient, rule_id: str, enabled: str, **more: Any) -> Any:
    return person.post(f"/rules/{rule_id}/switch", {"enabled": enabled, **more})


def entries(database: Database) -> list[tuple[str, str, str, str]]:
    """What the audit log says of rules, oldest first: who, what, of which, with what words."""
    with database.read() as session:
        found = audit.search(session, audit.AuditFilter(action="rule."), 50)
        assert audit.first_invalid_entry(session) is None
    return [(one.actor, one.action, one.subject, one.detail) for one in reversed(found)]


# ---- what a switch does ----


def test_the_next_event_after_disabling_a_rule_matches_nothing_and_alerts_stay(
    agent: AgentClient, admin: UserClient
) -> None:
    assert agent.send_events(exec_event(ON))["matched"] == 1
    answer = press(admin, ON, "no")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/rules/{ON}")
    assert agent.send_events(exec_event(ON))["matched"] == 0
    assert "1 of 1 alert" in admin.get("/alerts").text
    assert admin.get("/alerts/1").status_code == 200


def test_the_next_event_after_enabling_a_rule_matches(
    agent: AgentClient, admin: UserClient
) -> None:
    press(admin, ON, "no")
    press(admin, ON, "yes")
    assert agent.send_events(exec_event(ON))["matched"] == 1


def test_a_rule_that_its_file_disables_decides_once_it_is_enabled(
    agent: AgentClient, admin: UserClient
) -> None:
    assert agent.send_events(exec_event(OFF))["matched"] == 0
    press(admin, OFF, "yes")
    assert agent.send_events(exec_event(OFF))["matched"] == 1


def test_with_every_rule_disabled_events_are_still_taken(
    agent: AgentClient, admin: UserClient, services: Services
) -> None:
    for rule in services.rules.rules:
        press(admin, rule.id, "no")
    receipt = agent.send_events([exec_event(ON), {"not": "an event"}])
    assert (receipt["received"], receipt["matched"], len(receipt["rejected"])) == (2, 0, 1)


def test_a_switch_outlives_the_process(
    agent: AgentClient, admin: UserClient, settings: Settings, clock: FakeClock
) -> None:
    press(admin, ON, "no")
    press(admin, OFF, "yes")
    with TestClient(create_app(settings, clock=clock), base_url=ORIGIN) as restarted:
        again = AgentClient(restarted, agent.key)
        assert again.send_events(exec_event(ON))["matched"] == 0
        assert again.send_events(exec_event(OFF))["matched"] == 1


# ---- how it is kept ----


def test_every_switch_is_on_the_record_and_none_that_changed_nothing(
    admin: UserClient, database: Database
) -> None:
    press(admin, ON, "yes")
    press(admin, ON, "no")
    press(admin, ON, "no")
    press(admin, ON, "yes")
    words = "The sample-on (sample-on.toml)"
    assert entries(database) == [
        ("ada", "rule.disabled", f"rule {ON}", words),
        ("ada", "rule.enabled", f"rule {ON}", words),
    ]
    assert f'<a href="/rules/{ON}">' in admin.get("/audit").text


def test_a_switch_that_cannot_be_recorded_does_not_happen(
    agent: AgentClient, admin: UserClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError

    with monkeypatch.context() as patch:
        patch.setattr("app.store.audit.record", fail)
        with pytest.raises(LookupError):
            press(admin, ON, "no")
    assert agent.send_events(exec_event(ON))["matched"] == 1
    with database.read() as session:
        assert rule_overrides.list_all(session) == {}


def test_somebody_who_saw_an_older_switch_changes_nothing(
    agent: AgentClient, admin: UserClient, sign_in: Callable[[str, Role], UserClient]
) -> None:
    other = sign_in("bob", Role.ADMIN)
    press(admin, ON, "no", version="0")
    press(admin, ON, "yes", version="1")
    late = press(other, ON, "no", version="0", next="/rules?state=enabled")
    assert late.headers["location"] == "/rules?state=enabled"
    told = other.get("/rules?state=enabled").text
    assert "ada enabled the rule while you were looking. Nothing was changed." in told
    assert agent.send_events(exec_event(ON))["matched"] == 1


@pytest.mark.parametrize("enabled", ["", "maybe", "on"])
def test_a_switch_says_yes_or_no(agent: AgentClient, admin: UserClient, enabled: str) -> None:
    assert press(admin, ON, enabled).status_code == 422
    assert press(admin, ON, "no", version="x").status_code == 422
    assert press(admin, ON, "no", surprise="x").status_code == 422
    assert agent.send_events(exec_event(ON))["matched"] == 1


def test_an_analyst_sees_the_state_and_cannot_change_it(
    agent: AgentClient, analyst: UserClient, database: Database
) -> None:
    assert press(analyst, ON, "no").status_code == 403
    assert agent.send_events(exec_event(ON))["matched"] == 1
    assert entries(database) == []
    for path, told in (("/rules", "enabled</bdi>"), (f"/rules/{ON}", "Enabled</strong>")):
        page = analyst.get(path).text
        assert told in page
        assert "/switch" not in page


def test_a_switch_leads_back_to_the_view_it_was_made_in_and_nowhere_else(admin: UserClient) -> None:
    view = "/rules?q=ssh&state=enabled"
    assert press(admin, ON, "no", next=view).headers["location"] == view
    elsewhere = press(admin, ON, "yes", next="https://evil.example/")
    assert elsewhere.headers["location"] == f"/rules/{ON}"


def test_what_was_done_can_be_undone_from_its_notice(agent: AgentClient, admin: UserClient) -> None:
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


def deciding_in(services: Services) -> set[str]:
    """The ids of the rules that this instance decides with now."""
    return {rule.id for rule in services.current_detector.detector.rules}


@contextmanager
def second(settings: Settings, clock: FakeClock) -> Iterator[tuple[TestClient, Services]]:
    """Another instance over the same database, as a further worker process is."""
    app = create_app(settings, clock=clock)
    with TestClient(app, base_url=ORIGIN) as client:
        yield client, app.state.services


def test_two_instances_over_one_database_follow_each_other(
    agent: AgentClient,
    admin: UserClient,
    settings: Settings,
    clock: FakeClock,
    make_key: Callable[[str, Role], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "POLL_SECONDS", 0.01)
    headers = {"Authorization": f"Bearer {make_key('ops', Role.ADMIN)}"}
    with second(settings, clock) as (client, _):
        other = AgentClient(client, agent.key)
        press(admin, ON, "no")
        wait_until(
            lambda: other.send_events(exec_event(ON))["matched"] == 0, "the other instance follows"
        )
        changed = client.patch(f"/api/v1/rules/{ON}", json={"enabled": True}, headers=headers)
        assert changed.json()["enabled"] is True
        # Whoever switched it decides so already; only the others may take a moment.
        assert other.send_events(exec_event(ON))["matched"] == 1
        wait_until(
            lambda: agent.send_events(exec_event(ON))["matched"] == 1, "the first instance follows"
        )


def test_a_page_shows_a_switch_of_another_process_before_this_one_has_followed(
    admin: UserClient, settings: Settings, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "POLL_SECONDS", 3600)
    press(admin, ON, "no")
    with second(settings, clock) as (client, services):
        client.cookies = admin.client.cookies
        press(admin, ON, "yes")
        assert "Enabled</strong> by <bdi>ada</bdi>" in client.get(f"/rules/{ON}").text
        assert ON not in deciding_in(services)


def test_a_request_is_decided_by_the_rules_of_one_moment(
    services: Services, admin: UserClient, agent: AgentClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule disabled in the middle of a request decides all of it, or none."""
    matched: list[Document] = []

    def interrupted(document: Document) -> Event:
        matched.append(document)
        if len(matched) == 2:
            press(admin, ON, "no")
            assert ON not in deciding_in(services)
        return event_from_ecs(document)

    monkeypatch.setattr("app.ingest.pipeline.event_from_ecs", interrupted)
    assert agent.send_events([exec_event(ON) for _ in range(5)])["matched"] == 5
    assert agent.send_events(exec_event(ON))["matched"] == 0


def test_two_workers_follow_the_command_line_and_a_restart_keeps_it(
    tmp_path: Path, database: Database, clock: FakeClock
) -> None:
    key = api_keys.create(database, "fleet", Role.AGENT, principal=CLI_PRINCIPAL, at=clock())[1]
    rules = str(tmp_path / "more")
    workers = (*COMMAND, "serve", "--port", "0", "--workers", "2")
    with running_server(tmp_path, workers, RULES=rules) as server:

        def matched() -> list[int]:
            # Each connection goes to either worker, so that many reach both.
            return [server.send(key, exec_event(ON))[2]["matched"] for _ in range(12)]

        assert matched() == [1] * 12
        assert run(tmp_path, "rules", "disable", ON, RULES=rules).returncode == 0
        wait_until(lambda: matched() == [0] * 12, "both workers follow")
        assert server.stop() == 0
    with running_server(tmp_path, RULES=rules) as server:
        assert matched() == [0] * 12
        assert server.stop() == 0
