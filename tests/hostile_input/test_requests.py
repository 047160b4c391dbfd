"""Requests that no page of Deckwatch sends: each gets a response, and its status is below 500."""

import json

import pytest
from starlette.testclient import TestClient

from tests.conftest import AgentClient, UserClient
from tests.factories import exec_event
from tests.hostile_input.conftest import HostileApp

NUMBERS = ("9" * 30, "-" + "9" * 30, str(2**63), str(-(2**63)), "9" * 5_000, "1e3", "٣", "%00")


READ = (
    "/alerts/{}",
    "/exclusions/{}",
    "/exclusions/{}/edit",
    "/matches/{}/event.json",
    "/quarantine/{}/event.bin",
    "/quarantine/{}",
    "/agents/{}",
    "/rules/{}",
    "/api/v1/alerts/{}",
    "/api/v1/exclusions/{}",
    "/api/v1/matches/{}/event",
    "/setup/{}",
    "/static/{}",
    "/{}",
)


WRITE: dict[str, dict[str, str]] = {
    "/alerts/{}/status": {"move": "acknowledge"},
    "/alerts/{}/assignee": {"assignee": "ada"},
    "/alerts/{}/comments": {"comment": "x"},
    "/alerts/{}/guide/x": {"done": "yes", "part": "triage"},
    "/exclusions/{}/approve": {},
    "/exclusions/{}/decline": {},
    "/exclusions/{}/end": {},
    "/exclusions/{}/edit": {"submit": "1"},
    "/agents/keys/{}/revoke": {},
    "/users/{}/role": {"role": "admin"},
    "/users/{}/disable": {},
    "/users/{}/enable": {},
    "/users/{}/link": {},
}


def test_an_impossible_id_is_not_found(admin: UserClient) -> None:
    for number in NUMBERS:
        for path in READ:
            assert admin.get(path.format(number)).status_code == 404, path.format(number)
        for path, data in WRITE.items():
            assert admin.post(path.format(number), data).status_code == 404, path.format(number)


def test_impossible_ids_are_ignored_in_a_selection(agent: AgentClient, admin: UserClient) -> None:
    agent.send_events(exec_event())
    sent = {"alert": [*NUMBERS, "1"], "move": "acknowledge"}
    assert admin.post("/alerts/bulk", sent).status_code == 303
    assert admin.get("/api/v1/alerts/1").json()["status"] == "acknowledged"


def test_a_selection_larger_than_a_page_is_refused_not_cut(
    agent: AgentClient, admin: UserClient
) -> None:
    agent.send_events([exec_event("ssh", f"host-{n}") for n in range(51)])
    sent = {"alert": [str(n) for n in range(1, 52)], "move": "acknowledge"}
    answer = admin.post("/alerts/bulk", sent)
    assert "Select at most 50 alerts" in admin.get(answer.headers["location"]).text
    assert admin.get("/api/v1/alerts?status=acknowledged").json()["alerts"] == []


@pytest.mark.parametrize(
    "cursor",
    [
        "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwxXQ",  # ["0001-01-01T00:00:00+14:00",1]
        "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTE0OjAwIiwxXQ",  # ["9999-12-31T23:59:59-14:00",1]
        "WzFlOTk5LDFd",  # [1e999,1]
        "W251bGwsMV0",  # [null,1]
        "e30",  # {}
        "A" * 5_000,
        "é",
    ],
)
def test_an_invalid_cursor_is_reported(admin: UserClient, cursor: str) -> None:
    for sort in ("time", "priority"):
        query = {"cursor": cursor, "sort": sort}
        shown = admin.client.get("/alerts", params=query)
        assert shown.status_code == 200
        assert "Invalid cursor" in shown.text
        assert admin.client.get("/api/v1/alerts", params=query).status_code == 422


def test_a_search_longer_than_the_database_takes_is_answered(admin: UserClient) -> None:
    assert admin.client.get("/audit", params={"what": "a" * 60_000}).status_code == 200


ODD_JSON: dict[str, bytes] = {
    "an alert beyond 64 bits": b'{"from_alert":99999999999999999999999}',
    "a lone surrogate": b'{"reason":"\\ud800","owner":"\\udfff"}',
    "a lone surrogate as a field": b'{"conditions":[{"field":"\\ud800","operator":"is","values":["a"]}]}',
    "a lone surrogate as a key": b'{"\\ud800":1}',
    "NUL": b'{"reason":"\\u0000","conditions":[{"field":"host.name","operator":"is","values":["\\u0000"]}]}',
    "not UTF-8": b'{"reason":"\xff"}',
    "depth": b"[" * 100_000,
    "digits": b'{"from_alert":' + b"9" * 5_000 + b"}",
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "an end beyond the calendar": b'{"ends_at":"9999-12-31T23:59:59-14:00"}',
    "an end out of range": b'{"ends_at":1e999}',
}


@pytest.mark.parametrize("sent", ODD_JSON.values(), ids=ODD_JSON.keys())
def test_invalid_json_for_the_api_gets_a_specific_error(
    hostile_app: HostileApp, sent: bytes
) -> None:
    full = {
        "rule_id": "no such rule, so that nothing is made",
        "conditions": [{"field": "host.name", "operator": "is", "values": ["a"]}],
        "reason": "r",
        "owner": "o",
        "ends_at": "2026-12-20T00:00:00Z",
    }
    headers = {
        "Authorization": f"Bearer {hostile_app.admin_key}",
        "Content-Type": "application/json",
    }
    whole = json.dumps(full).encode()
    merged = whole[:-1] + b"," + sent[1:] if sent.startswith(b'{"') else sent
    for method, path in (("POST", "/api/v1/exclusions"), ("POST", "/api/v1/exclusions/preview")):
        answer = hostile_app.client.request(method, path, content=merged, headers=headers)
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["detail"]
    for path in ("/api/v1/alerts/1", "/api/v1/exclusions/1"):
        answer = hostile_app.client.patch(path, content=sent, headers=headers)
        assert answer.status_code in (200, 400, 409, 422), answer.text


def test_a_lone_surrogate_is_kept_as_its_escape(agent: AgentClient, admin: UserClient) -> None:
    agent.send_events(exec_event())
    change = b'{"status":"closed","verdict":"false positive","reason":"a\\ud800\\u0000b"}'
    headers = {"X-CSRF-Token": admin.csrf_token(), "Content-Type": "application/json"}
    answer = admin.client.patch("/api/v1/alerts/1", content=change, headers=headers)
    assert answer.json()["reason"] == "a\\ud800\\x00b"


HEADERS: list[dict[str, str | bytes]] = [
    {"Origin": "http://["},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "none;", "Origin": "://"},
    {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "#" + "x" * 5_000},
    {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#title"},
    {"Cookie": 'deckwatch="\\012"; deckwatch_theme="\\000"; deckwatch_notice=x.y'},
    {"Cookie": b"deckwatch=\xff\xfe; deckwatch_form=\xed\xa0\x80; deckwatch_notice=\xff.\xff"},
    {"Cookie": 'deckwatch_form="\\012Set-Cookie: a=b"'},
    {"Cookie": "=;=;;" + "a" * 20_000},
    {"Authorization": b"Bearer \xff"},
    {"Authorization": "Basic ===="},
    {"Authorization": "ApiKey " + "A" * 10_000},
    {"X-Forwarded-For": "<script>, \x1b[2J", "X-Forwarded-Proto": "javascript"},
    {"User-Agent": b"\xed\xa0\x80<script>"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": b"text/\xff; charset=utf-99"},
]


@pytest.mark.parametrize("sent", HEADERS, ids=str)
def test_a_header_that_no_browser_sends_is_answered(
    anonymous: TestClient, sent: dict[str, str | bytes]
) -> None:
    raw = {
        name.encode(): value if isinstance(value, bytes) else value.encode("latin-1")
        for name, value in sent.items()
    }
    for method, path in (
        ("GET", "/login"),
        ("POST", "/login"),
        ("GET", "/alerts"),
        ("GET", "/api/v1/alerts"),
        ("POST", "/api/v1/events"),
        ("POST", "/logout"),
    ):
        answer = anonymous.request(
            method, path, headers=raw, content=b"" if method == "POST" else None
        )
        assert answer.status_code < 500, (method, path)
        assert "a=b" not in answer.headers.get("set-cookie", "")


FORMS = [
    b"\xff=\xfe&comment=\xed\xa0\x80",
    b"comment=%ed%a0%80%00&%00=1",
    b"comment=%",
    b"&&&===",
    b"version=%D9%A3&move=acknowledge",
    b"version=" + b"9" * 5_000 + b"&move=acknowledge",
    b"version=-1&move=acknowledge",
    b"a=1&" * 3_000,
    b"comment=" + b"x" * 1_100_000,
    b"add=%5B%22container.id%22%2C%22%5Cud800%22%5D&reason=x",  # ["container.id","\ud800"]
    b"add=" + b"%5B" * 50_000,
    b"field-%00=x&values-%00=y&remove=%00",
]


@pytest.mark.parametrize("sent", FORMS, ids=lambda sent: sent[:30].decode("latin-1"))
def test_a_form_that_no_page_of_ours_sends_is_answered(
    agent: AgentClient, admin: UserClient, sent: bytes
) -> None:
    agent.send_events(exec_event())
    body = f"csrf={admin.csrf_token()}&".encode() + sent
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("/alerts/1/status", "/alerts/1/comments", "/exclusions", "/users", "/agents/keys"):
        answer = admin.client.post(path, content=body, headers=headers)
        assert answer.status_code < 500, path
        assert "\ud800" not in answer.text


def test_a_form_that_is_not_escaped_is_read_as_utf_8(agent: AgentClient, admin: UserClient) -> None:
    agent.send_events(exec_event())
    body = f"csrf={admin.csrf_token()}&comment=grüße".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert admin.client.post("/alerts/1/comments", content=body, headers=headers).status_code == 303
    assert admin.get("/api/v1/alerts/1").json()["activity"][0]["comment"] == "grüße"
