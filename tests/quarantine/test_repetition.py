"""The same bytes of a key are quarantined once and counted, and agents are told that they were sent again."""

import json
from collections.abc import Callable

from sqlmodel import col, select

from app.domain.principal import Role
from app.store.database import Database
from app.store.tables import QuarantinedEvent
from tests.agents.test_agents_page import visible_text
from tests.bulk_requests import CREATE, CREATED, NOT_AN_EVENT, REJECTED, bulk, item_statuses, ndjson
from tests.conftest import AgentClient, FakeClock, UserClient
from tests.factories import exec_event

REPEATED = ("create", 200)


def rows(database: Database) -> list[QuarantinedEvent]:
    with database.read() as session:
        return list(session.exec(select(QuarantinedEvent).order_by(col(QuarantinedEvent.id))))


def test_the_receipt_says_which_rejected_events_were_sent_before(
    agent: AgentClient, database: Database, clock: FakeClock
) -> None:
    first = agent.send_events(b"1\n2\n1\n")
    assert [rejected["repeated"] for rejected in first["rejected"]] == [False] * 3
    clock.advance(minutes=5)
    second = agent.send_events(b"1\n3\n")
    assert [rejected["repeated"] for rejected in second["rejected"]] == [True, False]
    stored = rows(database)
    assert [(row.event, row.count) for row in stored] == [(b"1", 3), (b"2", 1), (b"3", 1)]
    assert (stored[0].last_received_at - stored[0].received_at).total_seconds() == 300
    assert stored[1].last_received_at == stored[1].received_at


def test_a_chunk_that_a_shipper_repeats_until_it_succeeds_succeeds_at_the_second_attempt(
    agent: AgentClient, database: Database
) -> None:
    """Fluent Bit repeats a chunk as long as one of its items has failed."""
    chunk = ndjson(CREATE, exec_event(), CREATE, NOT_AN_EVENT, CREATE, b"{", CREATE, NOT_AN_EVENT)
    assert item_statuses(bulk(agent, chunk)) == [CREATED, REJECTED, REJECTED, REJECTED]
    answer = bulk(agent, chunk)
    assert item_statuses(answer) == [CREATED, REPEATED, REPEATED, REPEATED]
    assert answer.json()["errors"] is False
    assert [item["create"].get("result") for item in answer.json()["items"]] == [
        "created",
        "noop",
        "noop",
        "noop",
    ]
    assert [row.count for row in rows(database)] == [4, 2]


def test_the_bytes_of_each_key_are_counted_by_themselves(
    agent: AgentClient, make_key: Callable[[str, Role], str], database: Database
) -> None:
    other = AgentClient(agent.client, make_key("other", Role.AGENT))
    for sender in (agent, other, other):
        sender.send_events(b"{")
    assert [(row.key_id, row.count) for row in rows(database)] == [(1, 1), (2, 2)]


def test_an_event_that_left_the_quarantine_is_new_again(
    agent: AgentClient, admin: UserClient, database: Database
) -> None:
    agent.send_events(b"{")
    assert admin.post("/quarantine/delete", {"id": "1"}).status_code == 303
    (rejected,) = agent.send_events(b"{")["rejected"]
    assert rejected["repeated"] is False
    assert [row.count for row in rows(database)] == [1]


def test_many_different_events_in_one_request_are_stored_and_recognised(
    agent: AgentClient, database: Database
) -> None:
    """More events than one query looks up."""
    lines = [json.dumps({"number": number}).encode() for number in range(1_200)]
    assert len(agent.send_events(b"\n".join(lines))["rejected"]) == 1_200
    again = agent.send_events(b"\n".join(lines))
    assert all(rejected["repeated"] for rejected in again["rejected"])
    assert [row.event for row in rows(database)] == lines
    assert {row.count for row in rows(database)} == {2}


def test_pages_show_how_often_and_when_the_same_bytes_were_sent(
    agent: AgentClient, analyst: UserClient, clock: FakeClock
) -> None:
    agent.send_events(b"1\n")
    assert "sent" not in visible_text(analyst.get("/quarantine/1").text).split("Reason")[1][:200]
    clock.advance(minutes=5)
    agent.send_events(b"1\n1\n")
    for path in ("/quarantine", "/agents"):
        page = visible_text(analyst.get(path).text)
        assert "2026-11-24 12:05:00 UTC" in page
        assert "sent 3 times" in page
    page = visible_text(analyst.get("/quarantine/1").text)
    assert "First received 2026-11-24 12:00:00 UTC" in page
    assert "Last received 2026-11-24 12:05:00 UTC" in page
    assert "Sent 3 times" in page
