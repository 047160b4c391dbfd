"""JSON API for alerts and exclusions: search, changes, decisions, previews and errors."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.domain.principal import Role
from tests.conftest import ORIGIN, AgentClient, UserClient
from tests.factories import exec_event


@dataclass
class ApiClient:
    """A client with an API key that checks the status of each response."""

    client: TestClient
    key: str

    def call(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        response = self.client.request(
            method, f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {self.key}"}
        )
        assert response.status_code == status, response.text
        return response.json() if response.content else None


@pytest.fixture
def api_client(
    app: FastAPI, anonymous: TestClient, make_key: Callable[[str, Role], str]
) -> Callable[..., ApiClient]:
    def create(role: Role) -> ApiClient:
        client = TestClient(app, base_url=ORIGIN)
        return ApiClient(client, make_key(f"script-{role}", role))

    return create


@pytest.fixture
def analyst(api_client: Callable[..., ApiClient]) -> ApiClient:
    return api_client(Role.ANALYST)


@pytest.fixture
def admin(api_client: Callable[..., ApiClient]) -> ApiClient:
    return api_client(Role.ADMIN)


def rule_id(api_client: ApiClient) -> str:
    first_rule_id: str = api_client.call("GET", "/alerts/1")["rule_id"]
    return first_rule_id


def proposal(api_client: ApiClient, **changes: Any) -> dict[str, Any]:
    return {
        "rule_id": rule_id(api_client),
        "conditions": [
            {"field": "container.image.name", "operator": "is", "values": ["shop/web"]},
            {"field": "user.name", "operator": "is", "values": ["nginx"]},
        ],
        "reason": "Known.",
        "owner": "platform",
        "ends_at": "2026-12-24T00:00:00Z",
        **changes,
    }


def test_the_cursor_leads_through_all_pages_of_alerts(
    agent: AgentClient, analyst: ApiClient
) -> None:
    agent.send_events([exec_event(host=f"node-{n}") for n in range(25)])
    alert_ids: list[int] = []
    cursor = ""
    while True:
        page = analyst.call("GET", f"/alerts?limit=10&cursor={cursor}")
        alert_ids += [alert["id"] for alert in page["alerts"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert alert_ids == list(range(25, 0, -1))


def test_an_alert_contains_its_matches_and_activity(agent: AgentClient, analyst: ApiClient) -> None:
    agent.send_events([exec_event(event_id="a"), exec_event(event_id="b")])
    alert = analyst.call("GET", "/alerts/1")
    assert alert["match_count"] == 2
    assert [match["event_id"] for match in alert["matches"]] == ["b", "a"]
    assert alert["activity"][0]["kind"] == "opened"
    assert alert["priority"] == sum(part["points"] for part in alert["priority_parts"])
    event = analyst.call("GET", alert["matches"][0]["event_href"].removeprefix("/api/v1"))
    assert event["event"]["id"] == "b"


def test_an_alert_contains_its_ssh_command_line_and_its_parent(
    agent: AgentClient, analyst: ApiClient
) -> None:
    line = "ssh -A -i k -J ana@hop:2200 -R 8080:localhost:80 -p 2222 root@203.0.113.9 id"
    agent.send_events(exec_event(*shlex.split(line)))
    alert = analyst.call("GET", "/alerts/1")
    ssh = alert["ssh"]
    findings = ssh.pop("findings")
    assert ssh == {
        "program": "ssh",
        "alias": None,
        "role": "client",
        "destination": "203.0.113.9",
        "user": "root",
        "port": 2222,
        "jump_hosts": [{"host": "hop", "user": "ana", "port": 2200}],
        "key_files": ["k"],
        "config_file": None,
        "forwards": [{"kind": "remote", "listen": "8080", "target": "localhost:80"}],
        "remote_command": ["id"],
    }
    assert findings[0]["kind"] == "remote forward"
    assert sum(finding["risk"] for finding in findings) + 47 == alert["priority"]
    assert alert["parent"] == {
        "name": "bash",
        "executable": "/bin/bash",
        "command_line": "bash",
        "pid": 41,
        "user": None,
    }


def test_an_alert_is_acknowledged_and_closed(
    agent: AgentClient, analyst: ApiClient, sign_in: Any
) -> None:
    sign_in("ana", Role.ANALYST)
    agent.send_events(exec_event())
    acknowledged = analyst.call("PATCH", "/alerts/1", {"status": "acknowledged", "assignee": "ana"})
    assert (acknowledged["status"], acknowledged["assignee"]) == ("acknowledged", "ana")
    change = {"status": "closed", "verdict": "duplicate", "reason": "Of #7.", "version": 3}
    closed = analyst.call("PATCH", "/alerts/1", change)
    assert (closed["status"], closed["verdict"], closed["closed_by"]) == (
        "closed",
        "duplicate",
        "script-analyst",
    )


def test_a_change_with_one_invalid_part_changes_nothing(
    agent: AgentClient, analyst: ApiClient, sign_in: Callable[[str, Role], UserClient]
) -> None:
    agent.send_events(exec_event())
    sign_in("ada", Role.ANALYST)
    change = {"assignee": "ada", "status": "closed", "verdict": "false_positive"}
    analyst.call("PATCH", "/alerts/1", change, status=422)  # the reason is missing
    alert = analyst.call("GET", "/alerts/1")
    assert (alert["status"], alert["assignee"], alert["version"]) == ("open", None, 1)


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({}, 422, "Send a status or an assignee"),
        ({"status": "closed"}, 422, "Choose a verdict"),
        ({"status": "closed", "verdict": "duplicate"}, 422, "Enter a reason"),
        ({"status": "gone"}, 422, "Input should be"),
        ({"stauts": "closed"}, 422, "Extra inputs are not permitted"),
        ({"status": "open"}, 409, "cannot be reopened"),
        ({"status": "acknowledged", "version": 7}, 409, "changed while you were reading"),
        ({"assignee": "ghost"}, 422, "no active user"),
    ],
)
def test_an_invalid_change_is_answered_with_problem_details(
    agent: AgentClient, analyst: ApiClient, change: dict[str, Any], status: int, message: str
) -> None:
    agent.send_events(exec_event())
    problem = analyst.call("PATCH", "/alerts/1", change, status=status)
    assert problem["status"] == status
    assert message in problem["detail"]
    assert analyst.call("GET", "/alerts/1")["version"] == 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?stauts=open", "Unknown parameter “stauts”"),
        ("?severity=huge", "Unknown severity"),
        ("?cursor=x", "Invalid cursor"),
        ("?limit=0", "greater than or equal to 1"),
        ("?limit=9999", "less than or equal to 200"),
    ],
)
def test_an_invalid_filter_is_refused(analyst: ApiClient, query: str, message: str) -> None:
    assert message in analyst.call("GET", "/alerts" + query, status=422)["detail"]


def test_an_exclusion_by_an_admin_is_live_until_it_is_deleted(
    agent: AgentClient, admin: ApiClient
) -> None:
    agent.send_events(exec_event())
    created = admin.call("POST", "/exclusions", proposal(admin), status=201)
    assert (created["state"], created["live_version"]) == ("live", 1)
    assert agent.send_events(exec_event())["suppressed"] == 1
    assert admin.call("GET", "/exclusions?state=live")["exclusions"][0]["suppressed"] == 1
    admin.call("DELETE", "/exclusions/1", status=204)
    assert agent.send_events(exec_event())["suppressed"] == 0
    admin.call("DELETE", "/exclusions/1", status=409)
    assert admin.call("GET", "/exclusions/1")["state"] == "ended"


def test_an_exclusion_by_an_analyst_waits_for_approval_by_an_admin(
    agent: AgentClient, analyst: ApiClient, admin: ApiClient
) -> None:
    agent.send_events(exec_event())
    created = analyst.call("POST", "/exclusions", proposal(analyst), status=201)
    assert created["state"] == "proposed"
    analyst.call("PATCH", "/exclusions/1", {"decision": "approve"}, status=403)
    assert admin.call("PATCH", "/exclusions/1", {"decision": "approve"})["state"] == "live"
    edited = analyst.call("PATCH", "/exclusions/1", {"owner": "shop-team"})
    assert (edited["live_version"], edited["newest_version"]) == (1, 2)
    stale = {"owner": "x", "version": 1}
    analyst.call("PATCH", "/exclusions/1", stale, status=409)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule_id": "nope"}, "Choose a rule"),
        ({"conditions": []}, "Add at least one condition."),
        ({"conditions": [{"field": "x", "operator": "is", "values": ["y"]}]}, "Unknown field"),
        (
            {"conditions": [{"field": "process.name", "operator": "is", "values": ["ssh"]}]},
            "too broad",
        ),
        ({"ends_at": "2026-12-24T00:00:00"}, "time zone"),
        ({"ends_at": "2036-12-24T00:00:00Z"}, "at most 90 days"),
        ({"from_alert": 99}, "no alert 99"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_an_invalid_exclusion_is_refused(
    agent: AgentClient, admin: ApiClient, changes: dict[str, Any], message: str
) -> None:
    agent.send_events(exec_event())
    status = 404 if "from_alert" in changes else 422
    problem = admin.call("POST", "/exclusions", proposal(admin, **changes), status=status)
    assert message in problem["detail"]


def test_a_preview_reports_matches_that_would_be_suppressed_and_saves_nothing(
    agent: AgentClient, admin: ApiClient
) -> None:
    agent.send_events(
        [exec_event(), exec_event(), exec_event(host="node-2"), exec_event(user="root")]
    )
    change = {"status": "closed", "verdict": "true positive", "reason": "INC-1."}
    admin.call("PATCH", "/alerts/1", change)
    draft = proposal(admin)
    preview = admin.call(
        "POST",
        "/exclusions/preview",
        {"rule_id": draft["rule_id"], "conditions": draft["conditions"]},
    )
    assert (preview["examined"], preview["hidden"], preview["complete"]) == (4, 3, True)
    assert preview["alerts"] == [1, 2]
    assert preview["true_positives"] == [1]
    assert (preview["distinct"]["hosts"], preview["distinct"]["users"]) == (2, 1)
    assert preview["samples"] == [3, 2, 1]
    assert admin.call("GET", "/exclusions")["exclusions"] == []


def test_the_api_reference_lists_every_operation(
    sign_in: Callable[[str, Role], UserClient],
) -> None:
    user = sign_in("ana", Role.ANALYST)
    document = user.get("/api/openapi.json").json()
    page = user.get("/api/docs").text
    operations = [
        (method, path) for path, methods in document["paths"].items() for method in methods
    ]
    assert len(operations) >= 13
    for method, path in operations:
        assert f"{method.upper()} {path}</code>" in page


def test_a_repeated_parameter_is_refused(analyst: ApiClient) -> None:
    for path in (
        "/alerts?host=a&host=b",
        "/exclusions?state=live&state=live",
        "/rules?enabled=1&enabled=0",
    ):
        assert "more than once" in analyst.call("GET", path, status=422)["detail"]


def test_an_unsupported_method_is_answered_with_all_supported_methods(
    anonymous: TestClient,
) -> None:
    response = anonymous.request("POST", "/api/v1/exclusions/1")
    assert (response.status_code, response.headers["allow"]) == (405, "DELETE, GET, PATCH")
