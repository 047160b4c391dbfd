"""What differs is told apart, and what is taken is not lost."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import select

from app.domain.event import ID_LIMIT
from app.domain.roles import Role
from app.store.database import Database
from app.store.tables import Alert, Match
from tests.conftest import Agent, Person
from tests.factories import exec_event
from tests.hostile_input.conftest import House, propose


def test_an_event_id_of_any_length_stands_for_its_event(agent: Agent, database: Database) -> None:
    long, other = exec_event(event_id="i" * 1_000_000), exec_event(event_id="i" * 999_999 + "j")
    assert agent.receipt([long, other])["matched"] == 2
    assert agent.receipt([long, other])["duplicates"] == 2
    with database.read() as session:
        assert all(len(name) <= ID_LIMIT for name in session.exec(select(Match.event_id)))


def test_two_programs_of_one_process_are_two_events_when_agents_send_no_id(agent: Agent) -> None:
    def bare(line: str) -> dict[str, Any]:
        event = exec_event()
        event["process"] |= {"args": None, "command_line": line, "pid": 7}
        del event["event"]["id"]
        return event

    assert agent.receipt([bare("ssh a"), bare("ssh b")])["matched"] == 2
    assert agent.receipt(bare("ssh a"))["duplicates"] == 1


def test_thousands_of_different_alerts_may_come_in_one_request(
    agent: Agent, database: Database
) -> None:
    events = [exec_event("ssh", f"host-{n}", container=f"c-{n}") for n in range(3_000)]
    lines = b"\n".join(json.dumps(event).encode() for event in events)
    assert agent.receipt(lines)["matched"] == 3_000
    assert agent.receipt(lines)["duplicates"] == 3_000
    with database.read() as session:
        assert len(session.exec(select(Alert.id)).all()) == 3_000


def test_a_line_in_the_receipt_is_the_line_of_a_printed_array(agent: Agent) -> None:
    body = b'[\n  17,\n  {"event":\n    {"kind": "event"}},\n\n  "x"\n]'
    assert [one["line"] for one in agent.receipt(body)["rejected"]] == [2, 6]


SWALLOWED: dict[str, tuple[bytes, bytes]] = {  # before the good lines, behind them
    "a list as the first line": (b"[1]\n", b""),
    "an empty list as the first line": (b"[]\n", b""),
    "the end of an event as the first line": (b'["ssh","-p"],"pid":7}}\n', b"\n"),
    "a list that nobody closes": (b'[{"a":1},{"b":\n', b""),
    "an element that nobody closes": (b'[\n{"a":1},\n{"b":2\n', b",\n]"),
    "an unclosed text before": (b'{"a":"\n', b""),
}


@pytest.mark.parametrize(("before", "behind"), SWALLOWED.values(), ids=SWALLOWED.keys())
def test_a_bracket_that_nobody_closes_does_not_swallow_what_follows(
    agent: Agent, before: bytes, behind: bytes
) -> None:
    good = b"\n".join(json.dumps(exec_event()).encode() for _ in range(2))
    assert agent.receipt(before + good + behind)["matched"] == 2


def test_a_label_is_read_whichever_way_its_key_is_written(
    agent: Agent, admin: Person, make_key: Callable[[str, Role], str]
) -> None:
    """A negation holds where the field is missing, so a label that is not read hides too much."""
    agent.receipt(exec_event())
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
        assert agent.receipt(exec_event() | way)["suppressed"] == 0, way
    assert agent.receipt(exec_event())["suppressed"] == 1


@pytest.mark.parametrize("value", ["two\nlines", "two\rlines", " before", "after\t"])
def test_a_value_that_a_form_would_change_is_refused(house: House, value: str) -> None:
    answer = propose(house, value)
    assert answer.status_code == 422
    assert "line breaks" in answer.json()["detail"]


def test_a_value_with_an_odd_separator_stays_one_value(agent: Agent, admin: Person) -> None:
    event = exec_event(host="a\u2028b")
    agent.receipt(event)
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
