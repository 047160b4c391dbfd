"""Access control: every route, requested by every kind of client; CSRF checks; security headers."""

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

# (method, path): (permitted clients, status for a permitted client). Where possible the path names an item
# that does not exist, so that the test changes nothing: only permitted clients get 404.
ANYONE, ANALYST, ADMIN = "anyone", "analyst", "admin"
KEY_AGENT, KEY_ANALYST, KEY_ADMIN = "agent key", "analyst or key", "admin or key"

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
    ("GET", "/elastic/_index_template/{name}"): (ANYONE, 200),
    ("HEAD", "/elastic/_index_template/{name}"): (ANYONE, 200),
    ("PUT", "/elastic/_index_template/{name}"): (ANYONE, 200),
    ("GET", "/elastic/_component_template/{name}"): (ANYONE, 200),
    ("HEAD", "/elastic/_component_template/{name}"): (ANYONE, 200),
    ("PUT", "/elastic/_component_template/{name}"): (ANYONE, 200),
    ("GET", "/elastic/_ilm/policy/{name}"): (ANYONE, 200),
    ("HEAD", "/elastic/_ilm/policy/{name}"): (ANYONE, 200),
    ("PUT", "/elastic/_ilm/policy/{name}"): (ANYONE, 200),
    ("GET", "/elastic/_ingest/pipeline/{name}"): (ANYONE, 200),
    ("HEAD", "/elastic/_ingest/pipeline/{name}"): (ANYONE, 200),
    ("PUT", "/elastic/_ingest/pipeline/{name}"): (ANYONE, 200),
    ("POST", "/elastic/{index}/_doc"): (KEY_AGENT, 400),
    ("PUT", "/elastic/{index}/_doc"): (KEY_AGENT, 400),
    ("POST", "/elastic/{index}/_doc/{document_id:path}"): (KEY_AGENT, 400),
    ("PUT", "/elastic/{index}/_doc/{document_id:path}"): (KEY_AGENT, 400),
    ("POST", "/elastic/{index}/_create/{document_id:path}"): (KEY_AGENT, 400),
    ("PUT", "/elastic/{index}/_create/{document_id:path}"): (KEY_AGENT, 400),
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

VISITORS = ("anonymous", "agent key", "analyst key", "admin key", "analyst", "admin")


def expected_status(permitted: str, status: int, visitor: str, path: str) -> int:
    """Return the status that `visitor` should get for a route that answers permitted clients `status`."""
    if path == "/login" and visitor in ("analyst", "admin") and status == 200:
        return 303  # already signed in
    if permitted == ANYONE:
        return status
    if visitor == "anonymous":
        is_api = path.startswith(("/api/", "/elastic")) and path != "/api/docs"
        return 401 if is_api else 303  # pages redirect to the sign-in page
    if permitted == KEY_AGENT:
        # The route does not accept sessions, so they count as not authenticated.
        return {"agent key": status, "analyst": 401, "admin": 401}.get(visitor, 403)
    if permitted == KEY_ANALYST:
        return status if visitor != "agent key" else 403
    if permitted == KEY_ADMIN:
        return status if visitor in ("admin", "admin key") else 403
    if visitor.endswith("key"):
        return 403
    return status if permitted == ANALYST or visitor == "admin" else 403


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
        body: dict[str, Any] = {}
        if path.startswith("/api/") and self.token:
            headers["X-CSRF-Token"] = self.token
        if method in ("PATCH", "POST") and path.startswith("/api/"):
            body["content"] = b"" if path.endswith("/events") else b'{"status":"open"}'
            if "exclusions/" in path:
                body["content"] = b'{"decision":"approve"}'
            if "/rules/" in path:
                body["content"] = b'{"enabled":true}'
            headers["Content-Type"] = "application/json"
        elif method == "POST" and not path.startswith("/elastic"):
            body["data"] = {"csrf": self.token or "", **FORMS.get(path, {})}
        return self.client.request(method, filled, headers=headers, **body)


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
    services.live_updates.stop()  # otherwise the event stream never ends
    visitors = {
        "anonymous": Visitor(anonymous, {}, None),
        "analyst": Visitor(analyst.client, {}, analyst.csrf_token()),
        "admin": Visitor(admin.client, {}, admin.csrf_token()),
    }
    for role in Role:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        key = make_key(f"{role}-key", role)
        visitors[f"{role} key"] = Visitor(client, {"Authorization": f"Bearer {key}"}, None)
    return visitors


def test_the_table_contains_every_route() -> None:
    routes = {
        (method, route.path) for route in api_routes(ROUTERS) for method in route.methods or ()
    }
    assert routes == set(EXPECTED)


def test_every_route_answers_each_kind_of_client_with_the_expected_status(
    visitors: dict[str, Visitor], analyst: UserClient, admin: UserClient
) -> None:
    wrong = []
    last = [("POST", "/account/end-other-sessions"), ("POST", "/logout")]
    for route in [route for route in EXPECTED if route not in last] + last:
        permitted, permitted_status = EXPECTED[route]
        for name in VISITORS:
            expected = expected_status(permitted, permitted_status, name, route[1])
            response = visitors[name].visit(*route)
            if response.status_code != expected:
                wrong.append(f"{route} as {name}: {response.status_code}, not {expected}")
            elif expected == 303 and name == "anonymous":
                assert response.headers["location"].startswith("/login?next=")
    assert wrong == []


def test_the_application_does_not_start_with_a_route_without_an_access_declaration() -> None:
    router = APIRouter()

    @router.get("/open-by-oversight")
    def forgotten() -> None: ...

    with pytest.raises(RuntimeError, match="open-by-oversight"):
        require_access_declared([router])


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, "another site"),
        ({"Sec-Fetch-Site": "same-site"}, "another site"),
        ({"Origin": "http://evil.example"}, "another site"),
        ({"Origin": "null"}, "another site"),
    ],
)
def test_a_form_sent_from_another_site_changes_nothing(
    agent: AgentClient, admin: UserClient, headers: dict[str, str], message: str
) -> None:
    agent.send_events(exec_event())
    response = admin.post("/alerts/1/status", {"move": "acknowledge"}, headers=headers)
    assert response.status_code == 403
    assert message in response.text
    assert agent.client.get("/healthz").status_code == 200
    assert "Acknowledge</button>" in admin.get("/alerts/1").text


def test_a_form_without_csrf_token_or_with_that_of_another_user_changes_nothing(
    agent: AgentClient, admin: UserClient, analyst: UserClient
) -> None:
    agent.send_events(exec_event())
    for token in ("", "0" * 64, analyst.csrf_token()):
        response = admin.client.post(
            "/alerts/1/status", data={"move": "acknowledge", "csrf": token}
        )
        assert response.status_code == 403


def test_a_session_needs_the_csrf_token_to_change_an_alert_through_the_api(
    agent: AgentClient, admin: UserClient
) -> None:
    agent.send_events(exec_event())
    change = {"status": "acknowledged"}
    assert admin.client.patch("/api/v1/alerts/1", json=change).status_code == 403
    headers = {"X-CSRF-Token": admin.csrf_token()}
    response = admin.client.patch("/api/v1/alerts/1", json=change, headers=headers)
    assert response.json()["status"] == "acknowledged"


def test_a_form_with_an_unknown_field_is_refused(agent: AgentClient, admin: UserClient) -> None:
    agent.send_events(exec_event())
    response = admin.post("/alerts/1/status", {"move": "acknowledge", "priority": "0"})
    assert response.status_code == 422
    assert "priority" in response.text


def test_every_response_has_the_security_headers(
    visitors: dict[str, Visitor], admin: UserClient
) -> None:
    for path in ("/login", "/healthz", "/api/v1/alerts", "/nowhere", "/static/app.css"):
        headers = visitors["anonymous"].client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert admin.get("/alerts").headers["cache-control"] == "no-store"


def test_a_session_cannot_send_events(agent: AgentClient, admin: UserClient) -> None:
    response = admin.client.post(
        "/api/v1/events", json=exec_event(), headers={"X-CSRF-Token": admin.csrf_token()}
    )
    assert response.status_code == 401


def test_an_internal_error_shows_no_details_and_has_the_security_headers(
    admin: UserClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("a secret detail")

    monkeypatch.setattr("app.store.api_keys.list_all", fail)
    client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
    client.cookies = admin.client.cookies
    response = client.get("/agents")
    assert response.status_code == 500
    assert "The server log contains the details" in response.text
    assert "secret detail" not in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"
