"""Unusual event ids, bodies, labels and values: different events stay distinct, and none is lost."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import select

from app.domain.event import MAX_EVENT_ID_LENGTH
from app.domain.principal import Role
from app.store.database import Database
from app.store.tables import Alert, Match
from tests.conftest import AgentClient, UserClient
from tests.factories import exec_event
from tests.hostile_input.conftest import HostileApp, propose


def test_event_ids_of_any_length_are_distinguished(agent: AgentClient, database: Database) -> None:
    long, other = exec_event(event_id="i" * 1_000_000), exec_event(event_id="i" * 999_999 + "j")
    assert agent.send_events([long, other])["matched"] == 2
    assert agent.send_events([long, other])["duplicates"] == 2
    with database.read() as session:
        assert all(
            len(name) <= MAX_EVENT_ID_LENGTH for name in session.exec(select(Match.event_id))
        )


def test_two_execs_of_one_process_without_ids_are_two_events(agent: AgentClient) -> None:
    def bare(line: str) -> dict[str, Any]:
        event = exec_event()
        event["process"] |= {"args": None, "command_line": line, "pid": 7}
        del event["event"]["id"]
        return event

    assert agent.send_events([bare("ssh a"), bare("ssh b")])["matched"] == 2
    assert agent.send_events(bare("ssh a"))["duplicates"] == 1


def test_thousands_of_different_alerts_may_come_in_one_request(
    agent: AgentClient, database: Database
) -> None:
    events = [exec_event("ssh", f"host-{n}", container=f"c-{n}") for n in range(3_000)]
    lines = b"\n".join(json.dumps(event).encode() for event in events)
    assert agent.send_events(lines)["matched"] == 3_000
    assert agent.send_events(lines)["duplicates"] == 3_000
    with database.read() as session:
        assert len(session.exec(select(Alert.id)).all()) == 3_000


def test_a_receipt_names_the_line_within_a_pretty_printed_array(agent: AgentClient) -> None:
    body = b'[\n  17,\n  {"event":\n    {"kind": "event"}},\n\n  "x"\n]'
    assert [one["line"] for one in agent.send_events(body)["rejected"]] == [2, 6]


SWALLOWED: dict[
    str, tuple[bytes, bytes]
] = {  # values: bytes before the valid lines, bytes after them
    "a list as the first line": (b"[1]\n", b""),
    "an empty list as the first line": (b"[]\n", b""),
    "the end of an event as the first line": (b'["ssh","-p"],"pid":7}}\n', b"\n"),
    "a list that nobody closes": (b'[{"a":1},{"b":\n', b""),
    "an element that nobody closes": (b'[\n{"a":1},\n{"b":2\n', b",\n]"),
    "an unclosed text before": (b'{"a":"\n', b""),
}


@pytest.mark.parametrize(("before", "behind"), SWALLOWED.values(), ids=SWALLOWED.keys())
def test_an_unclosed_bracket_does_not_swallow_later_events(
    agent: AgentClient, before: bytes, behind: bytes
) -> None:
    good = b"\n".join(json.dumps(exec_event()).encode() for _ in range(2))
    assert agent.send_events(before + good + behind)["matched"] == 2


def test_labels_are_read_with_nested_and_dotted_keys(
    agent: AgentClient, admin: UserClient, make_key: Callable[[str, Role], str]
) -> None:
    """The condition `is not` is also true without the label, so an unread label would suppress the event."""
    agent.send_events(exec_event())
    rule_id = admin.get("/api/v1/alerts").json()["alerts"][0]["rule_id"]
    wanted = {
        "rule_id": rule_id,
        "conditions": [
            {"field": "host.name", "operator": "is", "values": ["node-11"]},
            {"field": "container.labels.tier", "operator": "is not", "values": ["prod"]},
        ],
        "reason": "tests",
        "owner": "ops",
        "ends_at": "2026-12-20T00:00:00Z",
    }
    headers = {"Authorization": f"Bearer {make_key('admin', Role.ADMIN)}"}
    assert agent.client.post("/api/v1/exclusions", json=wanted, headers=headers).status_code == 201
    container = exec_event()["container"]
    ways: list[dict[str, Any]] = [
        {"container": container | {"labels": {"tier": "prod"}}},
        {"container": container | {"labels.tier": "prod"}},
        {"container": [container | {"labels": {"tier": "prod"}}]},
        {"container.labels.tier": "prod"},
        {"container.labels": {"tier": "prod"}},
    ]
    for way in ways:
        assert agent.send_events(exec_event() | way)["suppressed"] == 0, way
    assert agent.send_events(exec_event())["suppressed"] == 1


@pytest.mark.parametrize("value", ["two\nlines", "two\rlines", " before", "after\t"])
def test_an_exclusion_value_that_a_form_would_alter_is_refused(
    hostile_app: HostileApp, value: str
) -> None:
    answer = propose(hostile_app, value)
    assert answer.status_code == 422
    assert "line breaks" in answer.json()["detail"]


def test_a_value_with_an_odd_separator_stays_one_value(
    agent: AgentClient, admin: UserClient
) -> None:
    event = exec_event(host="a\u2028b")
    agent.send_events(event)
    form = {
        "alert": "1",
        "rule": admin.get("/api/v1/alerts/1").json()["rule_id"],
        "field-0": "host.name",
        "operator-0": "is one of",
        "values-0": "a\u2028b\r\nc\x85d",
        "reason": "x",
        "owner": "x",
        "ends_at": "2026-12-20",
        "submit": "1",
    }
    assert admin.post("/exclusions", form).status_code == 303
    (made,) = admin.get("/api/v1/exclusions").json()["exclusions"]
    assert made["versions"][0]["conditions"][0]["values"] == ["a\u2028b", "c\x85d"]
