"""The JSON API for alerts and exclusions, as a script would use it."""

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
    """A program with a key; every answer is JSON, and its status is checked."""

    client: TestClient
    key: str

    def call(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = self.client.request(
            method, f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {self.key}"}
        )
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


@pytest.fixture
def api_client(
    app: FastAPI, anonymous: TestClient, make_key: Callable[[str, Role], str]
) -> Callable[..., ApiClient]:
    def made(role: Role) -> ApiClient:
        client = TestClient(app, base_url=ORIGIN)
        return ApiClient(client, make_key(f"script-{role}", role))

    return made


@pytest.fixture
def analyst(api_client: Callable[..., ApiClient]) -> ApiClient:
    return api_client(Role.ANALYST)


@pytest.fixture
def admin(api_client: Callable[..., ApiClient]) -> ApiClient:
    return api_client(Role.ADMIN)


def rule_id(api_client: ApiClient) -> str:
    found: str = api_client.call("GET", "/alerts/1")["rule_id"]
    return found


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


def test_pages_of_alerts_follow_the_cursor(agent: AgentClient, analyst: ApiClient) -> None:
    agent.send_events([exec_event(host=f"node-{n}") for n in range(25)])
    seen: list[int] = []
    cursor = ""
    while True:
        page = analyst.call("GET", f"/alerts?limit=10&cursor={cursor}")
        seen += [alert["id"] for alert in page["alerts"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == list(range(25, 0, -1))


def test_an_alert_comes_with_its_matches_and_history(
    agent: AgentClient, analyst: ApiClient
) -> None:
    agent.send_events([exec_event(event_id="a"), exec_event(event_id="b")])
    alert = analyst.call("GET", "/alerts/1")
    assert alert["match_count"] == 2
    assert [match["event_id"] for match in alert["matches"]] == ["b", "a"]
    assert alert["activity"][0]["kind"] == "opened"
    assert alert["priority"] == sum(part["points"] for part in alert["priority_parts"])
    event = analyst.call("GET", alert["matches"][0]["event_href"].removeprefix("/api/v1"))
    assert event["event"]["id"] == "b"


def test_an_alert_is_taken_and_closed(agent: AgentClient, analyst: ApiClient, sign_in: Any) -> None:
    sign_in("ana", Role.ANALYST)
    agent.send_events(exec_event())
    taken = analyst.call("PATCH", "/alerts/1", {"status": "acknowledged", "assignee": "ana"})
    assert (taken["status"], taken["assignee"]) == ("acknowledged", "ana")
    change = {"status": "closed", "verdict": "duplicate", "reason": "Of #7.", "version": 3}
    closed = analyst.call("PATCH", "/alerts/1", change)
    assert (closed["status"], closed["verdict"], closed["closed_by"]) == (
        "closed",
        "duplicate",
        "script-analyst",
    )


def test_a_change_that_is_refused_in_part_changes_nothing(
    agent: AgentClient, analyst: ApiClient, sign_in: Callable[[str, Role], UserClient]
) -> None:
    agent.send_events(exec_event())
    sign_in("ada", Role.ANALYST)
    change = {"assignee": "ada", "status": "closed", "verdict": "false_positive"}
    analyst.call("PATCH", "/alerts/1", change, status=422)  # the reason is missing
    alert = analyst.call("GET", "/alerts/1")
    assert (alert["status"], alert["assignee"], alert["version"]) == ("open", None, 1)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({}, 422, "Say what to change"),
        ({"status": "closed"}, 422, "Choose a verdict"),
        ({"status": "closed", "verdict": "duplicate"}, 422, "Enter a reason"),
        ({"status": "gone"}, 422, "Input should be"),
        ({"stauts": "closed"}, 422, "Extra inputs are not permitted"),
        ({"status": "open"}, 409, "cannot be reopened"),
        ({"status": "acknowledged", "version": 7}, 409, "changed while you were reading"),
        ({"assignee": "ghost"}, 422, "no active person"),
    ],
)
def test_a_wrong_change_is_refused_with_problem_details(
    agent: AgentClient, analyst: ApiClient, change: dict[str, Any], status: int, words: str
) -> None:
    agent.send_events(exec_event())
    problem = analyst.call("PATCH", "/alerts/1", change, status=status)
    assert problem["status"] == status
    assert words in problem["detail"]
    assert analyst.call("GET", "/alerts/1")["version"] == 1


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?stauts=open", "“stauts” is not a filter"),
        ("?severity=huge", "Unknown severity"),
        ("?cursor=x", "not known"),
        ("?limit=0", "greater than or equal to 1"),
        ("?limit=9999", "less than or equal to 200"),
    ],
)
def test_a_wrong_filter_is_refused_not_ignored(analyst: ApiClient, query: str, words: str) -> None:
    assert words in analyst.call("GET", "/alerts" + query, status=422)["detail"]


def test_an_admins_exclusion_is_live_and_ends_by_delete(
    agent: AgentClient, admin: ApiClient
) -> None:
    agent.send_events(exec_event())
    made = admin.call("POST", "/exclusions", proposal(admin), status=201)
    assert (made["state"], made["live_version"]) == ("live", 1)
    assert agent.send_events(exec_event())["suppressed"] == 1
    assert admin.call("GET", "/exclusions?state=live")["exclusions"][0]["suppressed"] == 1
    admin.call("DELETE", "/exclusions/1", status=204)
    assert agent.send_events(exec_event())["suppressed"] == 0
    admin.call("DELETE", "/exclusions/1", status=409)
    assert admin.call("GET", "/exclusions/1")["state"] == "ended"


def test_an_analysts_exclusion_waits_for_an_admins_decision(
    agent: AgentClient, analyst: ApiClient, admin: ApiClient
) -> None:
    agent.send_events(exec_event())
    made = analyst.call("POST", "/exclusions", proposal(analyst), status=201)
    assert made["state"] == "proposed"
    analyst.call("PATCH", "/exclusions/1", {"decision": "approve"}, status=403)
    assert admin.call("PATCH", "/exclusions/1", {"decision": "approve"})["state"] == "live"
    edited = analyst.call("PATCH", "/exclusions/1", {"owner": "shop-team"})
    assert (edited["live_version"], edited["newest_version"]) == (1, 2)
    stale = {"owner": "x", "version": 1}
    analyst.call("PATCH", "/exclusions/1", stale, status=409)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rule_id": "nope"}, "Choose the rule"),
        ({"conditions": []}, "Add at least one condition."),
        ({"conditions": [{"field": "x", "operator": "is", "values": ["y"]}]}, "Unknown field"),
        (
            {"conditions": [{"field": "process.name", "operator": "is", "values": ["ssh"]}]},
            "too broad",
        ),
        ({"ends_at": "2026-12-24T00:00:00"}, "time zone"),
        ({"ends_at": "2036-12-24T00:00:00Z"}, "At most 90 days"),
        ({"from_alert": 99}, "no alert 99"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_an_exclusion_that_does_not_fit_is_refused(
    agent: AgentClient, admin: ApiClient, changes: dict[str, Any], words: str
) -> None:
    agent.send_events(exec_event())
    status = 404 if "from_alert" in changes else 422
    problem = admin.call("POST", "/exclusions", proposal(admin, **changes), status=status)
    assert words in problem["detail"]


def test_a_preview_says_what_would_have_been_hidden_and_saves_nothing(
    agent: AgentClient, admin: ApiClient
) -> None:
    agent.send_events(
        [exec_event(), exec_event(), exec_event(host="node-2"), exec_event(user="root")]
    )
    change = {"status": "closed", "verdict": "true positive", "reason": "INC-1."}
    admin.call("PATCH", "/alerts/1", change)
    wanted = proposal(admin)
    told = admin.call(
        "POST",
        "/exclusions/preview",
        {"rule_id": wanted["rule_id"], "conditions": wanted["conditions"]},
    )
    assert (told["examined"], told["hidden"], told["complete"]) == (4, 3, True)
    assert told["alerts"] == [1, 2]
    assert told["true_positives"] == [1]
    assert (told["distinct"]["hosts"], told["distinct"]["users"]) == (2, 1)
    assert told["samples"] == [3, 2, 1]
    assert admin.call("GET", "/exclusions")["exclusions"] == []


def test_the_reference_tells_every_operation(sign_in: Callable[[str, Role], UserClient]) -> None:
    person = sign_in("ana", Role.ANALYST)
    document = person.get("/api/openapi.json").json()
    page = person.get("/api/docs").text
    operations = [
        (method, path) for path, methods in document["paths"].items() for method in methods
    ]
    assert len(operations) >= 13
    for method, path in operations:
        assert f"{method.upper()} {path}</code>" in page


def test_a_parameter_that_is_there_twice_is_refused_not_half_read(analyst: ApiClient) -> None:
    for path in (
        "/alerts?host=a&host=b",
        "/exclusions?state=live&state=live",
        "/rules?enabled=1&enabled=0",
    ):
        assert "more than once" in analyst.call("GET", path, status=422)["detail"]


def test_a_method_that_is_not_taken_is_told_all_that_are(anonymous: TestClient) -> None:
    answer = anonymous.request("POST", "/api/v1/exclusions/1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, PATCH")
