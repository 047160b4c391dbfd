"""Who may do what: every route, walked as everybody who could come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

from app.domain.principal import Role
from app.main import ROUTERS
from app.web.access import api_routes, require_access_declared
from app.web.services import Services
from tests.conftest import ORIGIN, AgentClient, UserClient
from tests.factories import exec_event

# (method, path): (who may, what somebody who may is answered). The paths name things that do not
# exist where that spares the test from changing anything: 404 is an answer only the allowed get.
ANYONE, ANALYST, ADMIN = "anyone", "analyst", "admin"
KEY_AGENT, KEY_ANALYST, KEY_ADMIN = "agent key", "analyst, also by key", "admin, also by key"

EXPECTED: dict[tuple[str, str], tuple[str, int]] = {
    ("GET", "/healthz"): (ANYONE, 200),
    ("GET", "/readyz"): (ANYONE, 200),
    ("GET", "/metrics"): (ANYONE, 200),
    ("GET", "/login"): (ANYONE, 200),
    ("POST", "/login"): (ANYONE, 403),
    ("GET", "/setup/{token}"): (ANYONE, 404),
    ("POST", "/setup/{token}"): (ANYONE, 403),
    ("POST", "/api/v1/events"): (KEY_AGENT, 400),
    ("GET", "/elastic"): (KEY_AGENT, 200),
    ("HEAD", "/elastic"): (KEY_AGENT, 200),
    ("GET", "/elastic/"): (KEY_AGENT, 200),
    ("HEAD", "/elastic/"): (KEY_AGENT, 200),
    ("GET", "/elastic/_license"): (KEY_AGENT, 200),
    ("GET", "/elastic/_cluster/health"): (KEY_AGENT, 200),
    ("GET", "/elastic/_cat/health"): (KEY_AGENT, 200),
    ("GET", "/elastic/{index}/_refresh"): (KEY_AGENT, 200),
    ("POST", "/elastic/{index}/_refresh"): (KEY_AGENT, 200),
    ("POST", "/elastic/_bulk"): (KEY_AGENT, 400),
    ("PUT", "/elastic/_bulk"): (KEY_AGENT, 400),
    ("POST", "/elastic/{index}/_bulk"): (KEY_AGENT, 400),
    ("PUT", "/elastic/{index}/_bulk"): (KEY_AGENT, 400),
    ("GET", "/api/v1/alerts"): (KEY_ANALYST, 200),
    ("GET", "/api/v1/alerts/{alert_id}"): (KEY_ANALYST, 404),
    ("PATCH", "/api/v1/alerts/{alert_id}"): (KEY_ANALYST, 404),
    ("GET", "/api/v1/matches/{match_id}/event"): (KEY_ANALYST, 404),
    ("GET", "/api/v1/exclusions"): (KEY_ANALYST, 200),
    ("POST", "/api/v1/exclusions"): (KEY_ANALYST, 422),
    ("POST", "/api/v1/exclusions/preview"): (KEY_ANALYST, 422),
    ("GET", "/api/v1/exclusions/{exclusion_id}"): (KEY_ANALYST, 404),
    ("PATCH", "/api/v1/exclusions/{exclusion_id}"): (KEY_ANALYST, 404),
    ("DELETE", "/api/v1/exclusions/{exclusion_id}"): (KEY_ANALYST, 404),
    ("GET", "/api/v1/rules"): (KEY_ANALYST, 200),
    ("PATCH", "/api/v1/rules/{rule_id}"): (KEY_ADMIN, 404),
    ("GET", "/api/v1/stream"): (KEY_ANALYST, 200),
    ("GET", "/api/openapi.json"): (KEY_ANALYST, 200),
    ("GET", "/api/docs"): (ANALYST, 200),
    ("GET", "/"): (ANALYST, 200),
    ("POST", "/logout"): (ANALYST, 303),
    ("POST", "/theme"): (ANALYST, 422),
    ("GET", "/alerts"): (ANALYST, 200),
    ("POST", "/alerts/bulk"): (ANALYST, 303),
    ("GET", "/alerts/{alert_id}"): (ANALYST, 404),
    ("POST", "/alerts/{alert_id}/status"): (ANALYST, 422),
    ("POST", "/alerts/{alert_id}/assignee"): (ANALYST, 404),
    ("POST", "/alerts/{alert_id}/comments"): (ANALYST, 404),
    ("POST", "/alerts/{alert_id}/guide/{step_key}"): (ANALYST, 404),
    ("GET", "/matches/{match_id}/event.json"): (ANALYST, 404),
    ("GET", "/exclusions"): (ANALYST, 200),
    ("POST", "/exclusions"): (ANALYST, 422),
    ("GET", "/exclusions/new"): (ANALYST, 200),
    ("GET", "/exclusions/{exclusion_id}"): (ANALYST, 404),
    ("GET", "/exclusions/{exclusion_id}/edit"): (ANALYST, 404),
    ("POST", "/exclusions/{exclusion_id}/edit"): (ANALYST, 404),
    ("POST", "/exclusions/{exclusion_id}/end"): (ANALYST, 404),
    ("POST", "/exclusions/{exclusion_id}/approve"): (ADMIN, 404),
    ("POST", "/exclusions/{exclusion_id}/decline"): (ADMIN, 404),
    ("GET", "/rules"): (ANALYST, 200),
    ("GET", "/rules/{rule_id}"): (ANALYST, 404),
    ("POST", "/rules/{rule_id}/switch"): (ADMIN, 404),
    ("GET", "/explain"): (ANALYST, 200),
    ("POST", "/explain"): (ANALYST, 422),
    ("GET", "/agents"): (ANALYST, 200),
    ("POST", "/agents/keys"): (ADMIN, 422),
    ("POST", "/agents/keys/{key_id}/revoke"): (ADMIN, 404),
    ("GET", "/agents/{key_id}"): (ANALYST, 404),
    ("GET", "/quarantine"): (ANALYST, 200),
    ("GET", "/quarantine/export.ndjson"): (ANALYST, 200),
    ("POST", "/quarantine/retry"): (ADMIN, 422),
    ("POST", "/quarantine/delete"): (ADMIN, 422),
    ("GET", "/quarantine/{quarantine_id}"): (ANALYST, 404),
    ("GET", "/quarantine/{quarantine_id}/event.bin"): (ANALYST, 404),
    ("GET", "/users"): (ADMIN, 200),
    ("POST", "/users"): (ADMIN, 422),
    ("POST", "/users/{user_id}/link"): (ADMIN, 404),
    ("POST", "/users/{user_id}/role"): (ADMIN, 422),
    ("POST", "/users/{user_id}/disable"): (ADMIN, 404),
    ("POST", "/users/{user_id}/enable"): (ADMIN, 404),
    ("GET", "/account"): (ANALYST, 200),
    ("POST", "/account/password"): (ANALYST, 422),
    ("POST", "/account/end-other-sessions"): (ANALYST, 303),
    ("GET", "/audit"): (ADMIN, 200),
}

VISITORS = ("nobody", "agent key", "analyst key", "admin key", "analyst", "admin")


def expected(may: str, answer: int, visitor: str, path: str) -> int:
    """What `visitor` should be answered."""
    if path == "/login" and visitor in ("analyst", "admin") and answer == 200:
        return 303  # they are in already
    program = path.startswith(("/api/", "/elastic")) and path != "/api/docs"
    refused = 401 if program else 303  # a person is sent to the sign-in page
    if may == ANYONE:
        return answer
    if visitor == "nobody":
        return refused
    if may == KEY_AGENT:
        # A session is not a key: whoever has only that is told to present one.
        return {"agent key": answer, "analyst": 401, "admin": 401}.get(visitor, 403)
    if may == KEY_ANALYST:
        allowed = visitor != "agent key"
        return answer if allowed else 403
    if may == KEY_ADMIN:
        return answer if visitor in ("admin", "admin key") else 403
    if visitor.endswith("key"):
        return 403
    return answer if may == ANALYST or visitor == "admin" else 403


@dataclass
class Visitor:
    client: TestClient
    headers: dict[str, str]
    token: str | None

    def visit(self, method: str, path: str) -> Any:
        filled = path.replace("{step_key}", "x").replace("{token}", "x").replace("{rule_id}", "x")
        for name in ("alert_id", "match_id", "exclusion_id", "key_id", "quarantine_id", "user_id"):
            filled = filled.replace("{" + name + "}", "999999")
        headers = dict(self.headers)
        more: dict[str, Any] = {}
        if path.startswith("/api/") and self.token:
            headers["X-CSRF-Token"] = self.token
        if method in ("PATCH", "POST") and path.startswith("/api/"):
            more["content"] = b"" if path.endswith("/events") else b'{"status":"open"}'
            if "exclusions/" in path:
                more["content"] = b'{"decision":"approve"}'
            if "/rules/" in path:
                more["content"] = b'{"enabled":true}'
            headers["Content-Type"] = "application/json"
        elif method == "POST" and not path.startswith("/elastic"):
            more["data"] = {"csrf": self.token or "", **FORMS.get(path, {})}
        return self.client.request(method, filled, headers=headers, **more)


FORMS = {
    "/alerts/{alert_id}/comments": {"comment": "x"},
    "/alerts/{alert_id}/guide/{step_key}": {"done": "yes", "part": "triage"},
}


@pytest.fixture
def visitors(
    app: FastAPI,
    services: Services,
    anonymous: TestClient,
    analyst: UserClient,
    admin: UserClient,
    make_key: Callable[[str, Role], str],
) -> dict[str, Visitor]:
    services.live_updates.stop()  # an event stream would otherwise never end
    found = {
        "nobody": Visitor(anonymous, {}, None),
        "analyst": Visitor(analyst.client, {}, analyst.csrf_token()),
        "admin": Visitor(admin.client, {}, admin.csrf_token()),
    }
    for role in Role:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        key = make_key(f"{role}-key", role)
        found[f"{role} key"] = Visitor(client, {"Authorization": f"Bearer {key}"}, None)
    return found


def test_the_table_names_every_route() -> None:
    walked = {
        (method, route.path) for route in api_routes(ROUTERS) for method in route.methods or ()
    }
    assert walked == set(EXPECTED)


def test_every_route_answers_every_visitor_as_the_table_says(
    visitors: dict[str, Visitor], analyst: UserClient, admin: UserClient
) -> None:
    wrong = []
    last = [("POST", "/account/end-other-sessions"), ("POST", "/logout")]
    for route in [one for one in EXPECTED if one not in last] + last:
        may, answer = EXPECTED[route]
        for name in VISITORS:
            wanted = expected(may, answer, name, route[1])
            got = visitors[name].visit(*route)
            if got.status_code != wanted:
                wrong.append(f"{route} as {name}: {got.status_code}, not {wanted}")
            elif wanted == 303 and name == "nobody":
                assert got.headers["location"].startswith("/login?next=")
    assert wrong == []


def test_a_route_that_does_not_say_who_may_use_it_stops_the_start() -> None:
    router = APIRouter()

    @router.get("/open-by-oversight")
    def forgotten() -> None: ...

    with pytest.raises(RuntimeError, match="open-by-oversight"):
        require_access_declared([router])


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, "another site"),
        ({"Sec-Fetch-Site": "same-site"}, "another site"),
        ({"Origin": "http://evil.example"}, "another site"),
        ({"Origin": "null"}, "another site"),
    ],
)
def test_a_form_sent_from_another_site_does_nothing(
    agent: AgentClient, admin: UserClient, headers: dict[str, str], why: str
) -> None:
    agent.send_events(exec_event())
    answer = admin.post("/alerts/1/status", {"move": "acknowledge"}, headers=headers)
    assert answer.status_code == 403
    assert why in answer.text
    assert agent.client.get("/healthz").status_code == 200
    assert "Acknowledge</button>" in admin.get("/alerts/1").text


def test_a_form_without_its_token_or_with_somebody_elses_does_nothing(
    agent: AgentClient, admin: UserClient, analyst: UserClient
) -> None:
    agent.send_events(exec_event())
    for token in ("", "0" * 64, analyst.csrf_token()):
        answer = admin.client.post("/alerts/1/status", data={"move": "acknowledge", "csrf": token})
        assert answer.status_code == 403


def test_a_session_needs_the_token_to_change_something_through_the_api(
    agent: AgentClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    change = {"status": "acknowledged"}
    assert admin.client.patch("/api/v1/alerts/1", json=change).status_code == 403
    headers = {"X-CSRF-Token": admin.csrf_token()}
    answer = admin.client.patch("/api/v1/alerts/1", json=change, headers=headers)
    assert answer.json()["status"] == "acknowledged"


def test_fields_a_form_does_not_know_are_refused(agent: AgentClient, admin: UserClient) -> None:
    agent.send_events(exec_event())
    answer = admin.post("/alerts/1/status", {"move": "acknowledge", "priority": "0"})
    assert answer.status_code == 422
    assert "priority" in answer.text


def test_every_answer_carries_the_security_headers(
    visitors: dict[str, Visitor], admin: UserClient
) -> None:
    for path in ("/login", "/healthz", "/api/v1/alerts", "/nowhere", "/static/app.css"):
        headers = visitors["nobody"].client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert admin.get("/alerts").headers["cache-control"] == "no-store"


def test_a_session_does_not_open_what_needs_a_key(agent: AgentClient, admin: UserClient) -> None:
    answer = admin.client.post(
        "/api/v1/events", json=exec_event(), headers={"X-CSRF-Token": admin.csrf_token()}
    )
    assert answer.status_code == 401


def test_a_mistake_of_ours_is_told_without_its_details_and_under_the_same_headers(
    admin: UserClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("a secret detail")

    monkeypatch.setattr("app.store.api_keys.list_all", fail)
    client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
    client.cookies = admin.client.cookies
    answer = client.get("/agents")
    assert answer.status_code == 500
    assert "under this reference" in answer.text
    assert "secret detail" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
