"""The bulk API: the response item of each action, and every valid event is accepted."""

from itertools import chain
from typing import Any

import pytest
from sqlmodel import select

from app.ingest.bulk import BulkSplitter
from app.ingest.events import RawEvent, RejectedEvent, new_rejection
from app.store.database import Database
from app.store.tables import Alert, ApiKeyMinute, QuarantinedEvent
from tests.bulk_requests import (
    CREATE,
    CREATED,
    NOT_AN_EVENT,
    REJECTED,
    STRAY_CREATED,
    STRAY_REJECTED,
    bulk,
    item_statuses,
    json_line,
    ndjson,
)
from tests.conftest import AgentClient
from tests.factories import benign_event, exec_event
from tests.quarantined import count_quarantined


def alerts_of(database: Database) -> list[Alert]:
    with database.read() as session:
        return list(session.exec(select(Alert)))


def quarantined(database: Database) -> list[tuple[bytes, str]]:
    with database.read() as session:
        return [(row.event, row.reason) for row in session.exec(select(QuarantinedEvent))]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("path", "action", "index"),
    [
        ("/elastic/_bulk", {"_index": "own"}, "own"),
        ("/elastic/named/_bulk", {}, "named"),
        ("/elastic/named/_bulk", {"_index": "own"}, "own"),
        ("/elastic/_bulk", {}, "events"),
    ],
)
def test_each_item_names_the_index_of_its_action_or_of_the_url(
    agent: AgentClient, method: str, path: str, action: dict[str, str], index: str
) -> None:
    answer = agent.client.request(
        method,
        path,
        content=ndjson({"index": action}, exec_event()),
        headers={"Authorization": f"Bearer {agent.key}"},
    )
    assert answer.json()["items"][0]["index"]["_index"] == index


@pytest.mark.parametrize(
    ("target", "id"),
    [({"_id": "é-1"}, "é-1"), ({"_id": 7}, "7"), ({"_id": None}, None), ({}, None)],
)
def test_an_item_repeats_the_id_of_its_action(
    agent: AgentClient, target: dict[str, Any], id: str | None
) -> None:
    (item,) = bulk(agent, ndjson({"create": target}, exec_event())).json()["items"]
    assert item["create"].get("_id") == id


# Bodies, made of actions and these events, and their expected response items.
EVENT, QUIET = "a matching event", "an event without a match"
TABLE: dict[str, tuple[list[object], list[tuple[str, int]]]] = {
    "two events": ([CREATE, EVENT, CREATE, EVENT], [CREATED, CREATED]),
    "an invalid event between two valid ones": (
        [CREATE, EVENT, CREATE, NOT_AN_EVENT, CREATE, EVENT],
        [CREATED, REJECTED, CREATED],
    ),
    "an invalid event among many valid ones with the same action": (
        [
            *[CREATE, QUIET] * 5,
            CREATE,
            EVENT,
            CREATE,
            NOT_AN_EVENT,
            *[CREATE, QUIET] * 3,
            CREATE,
            EVENT,
        ],
        [*[CREATED] * 6, REJECTED, *[CREATED] * 4],
    ),
    "an event that is not JSON": ([CREATE, b'{"a":', CREATE, EVENT], [REJECTED, CREATED]),
    "op_type in an index action, as pino writes it": (
        [{"index": {"_index": "a", "op_type": "create"}}, EVENT],
        [CREATED],
    ),
    "_type and other ignored keys": (
        [{"create": {"_type": "_doc", "pipeline": "p", "require_alias": False}}, EVENT],
        [CREATED],
    ),
    "a blank line after each event, as rsyslog writes it": (
        [CREATE, EVENT, b"", CREATE, EVENT, b"", b" \t\r"],
        [CREATED, CREATED],
    ),
    "white space in an action": ([b' { "create" : { } } \r', EVENT], [CREATED]),
    "a delete has no event": (
        [{"delete": {"_id": "x"}}, CREATE, EVENT],
        [("delete", 400), CREATED],
    ),
    "an update has an event": (
        [{"update": {"_id": "x"}}, {"doc": {}}, CREATE, EVENT],
        [("update", 400), CREATED],
    ),
    "an action that is not JSON": (
        [b'{"create":{', EVENT, CREATE, EVENT],
        [STRAY_CREATED, CREATED],
    ),
    "an action with an unknown verb": (
        [{"upsert": {}}, EVENT, CREATE, EVENT],
        [STRAY_CREATED, CREATED],
    ),
    "an action with two verbs": (
        [{"create": {}, "index": {}}, EVENT, CREATE, EVENT],
        [STRAY_CREATED, CREATED],
    ),
    "an action with a lone surrogate": (
        [b'{"create":{"_id":"\\ud800"}}', EVENT, CREATE, EVENT],
        [STRAY_CREATED, CREATED],
    ),
    "an action that is not UTF-8": ([b'{"create":{"_id":"\xff"}}', EVENT], [STRAY_CREATED]),
    "an action of the wrong types": ([{"create": {"_id": [1]}}, EVENT], [STRAY_CREATED]),
    "an action that is null": ([{"create": None}, EVENT], [STRAY_CREATED]),
    "an action beyond the size limit": (
        [{"create": {"_id": "x" * 10_000}}, EVENT],
        [STRAY_CREATED],
    ),
    "an invalid action and an invalid event": (
        [b"{", NOT_AN_EVENT, CREATE, EVENT],
        [STRAY_REJECTED, CREATED],
    ),
    "an invalid action without an event": ([b"{", CREATE, EVENT], [STRAY_REJECTED, CREATED]),
    "an invalid action at the end": ([CREATE, EVENT, b"{"], [CREATED, STRAY_REJECTED]),
    "an action without its event": ([CREATE, CREATE, EVENT], [REJECTED, CREATED]),
    "an action without its event at the end": ([CREATE, EVENT, CREATE], [CREATED, REJECTED]),
    "an event without its action": (
        [CREATE, EVENT, EVENT, CREATE, EVENT],
        [CREATED, STRAY_CREATED, CREATED],
    ),
    "events without any action": (
        [EVENT, QUIET, EVENT],
        [STRAY_CREATED, STRAY_CREATED, STRAY_CREATED],
    ),
    "values that are not objects": (
        [b"1", CREATE, EVENT, b'"x"'],
        [STRAY_REJECTED, CREATED, STRAY_REJECTED],
    ),
    "a byte order mark": ([b"\xef\xbb\xbf" + CREATE, EVENT], [CREATED]),
}


def build_body(parts: list[object]) -> tuple[bytes, int]:
    """Return the body and the number of its matching events."""
    values = {EVENT: exec_event, QUIET: benign_event}
    body = ndjson(*(values[part]() if isinstance(part, str) else part for part in parts))
    return body, parts.count(EVENT)


@pytest.mark.parametrize("name", TABLE)
def test_every_action_gets_an_item_and_no_valid_event_is_lost(
    agent: AgentClient, database: Database, name: str
) -> None:
    parts, expected = TABLE[name]
    body, matching = build_body(parts)
    assert item_statuses(bulk(agent, body)) == expected
    assert sum(alert.match_count for alert in alerts_of(database)) == matching
    # Everything else is quarantined and counted.
    with database.read() as session:
        (minute,) = session.exec(select(ApiKeyMinute))
    assert minute.rejected == count_quarantined(database).total()
    assert minute.received - minute.rejected == matching + parts.count(QUIET)
    assert minute.rejected >= sum(status == 400 for _, status in expected)


@pytest.mark.parametrize("name", TABLE)
def test_the_parts_in_which_a_body_arrives_make_no_difference(name: str) -> None:
    body, _ = build_body(TABLE[name][0])
    for whole in (body, body.rstrip(b"\n")):
        expected = split([whole])
        for size in (1, 7, 61, 1_000):
            parts = [whole[start : start + size] for start in range(0, len(whole), size)]
            assert split(parts) == expected


def split(parts: list[bytes]) -> tuple[list[RawEvent], list[RejectedEvent], bytes]:
    """Return the events, the rejected lines, and the response if all events are accepted."""
    splitter = BulkSplitter(index=None, max_event_bytes=10**6, max_line_bytes=10**6, max_events=100)
    blocks = chain(chain.from_iterable(map(splitter.feed, parts)), splitter.end())
    events = list(chain.from_iterable(blocks))
    rejected = [event for event in events if isinstance(event, RejectedEvent)]
    accepted = [event for event in events if isinstance(event, RawEvent)]
    return accepted, rejected, splitter.response_body(map(new_rejection, rejected), took=0)


def test_half_a_byte_order_mark_is_a_rejected_line() -> None:
    events, rejected, _ = split([b"\xef", b"\xbb"])
    assert events == []
    assert [event.raw_event for event in rejected] == [RawEvent(0, 1, b"\xef\xbb")]


def test_a_rejected_line_is_quarantined_with_its_reason(
    agent: AgentClient, database: Database
) -> None:
    delete = json_line({"delete": {"_index": "logs", "_id": "x"}})
    body = ndjson(CREATE, NOT_AN_EVENT, delete, b"{", CREATE, b"\xff")
    items = [item for entry in bulk(agent, body).json()["items"] for item in entry.values()]
    reasons = [item["error"]["reason"] for item in items]
    assert "no known agent format" in reasons[0]
    assert "not update or delete" in reasons[1]
    assert "neither an action nor an event" in reasons[2]
    assert "not UTF-8" in reasons[3]
    assert {item["error"]["type"] for item in items} == {"document_parsing_exception"}
    assert sorted(quarantined(database)) == sorted(
        zip([NOT_AN_EVENT, delete, b"{", b"\xff"], reasons, strict=True)
    )


def test_a_thousand_mixed_actions_get_their_items_in_request_order(
    agent: AgentClient, database: Database
) -> None:
    parts: list[object] = []
    expected: list[tuple[str, int]] = []
    ids: list[str] = []
    for number in range(1_000):
        verb = ("create", "index", "update", "delete")[(number * 7 + number // 3) % 4]
        valid = number % 5 != 0
        parts.append({verb: {"_index": "logs", "_id": f"id-{number}"}})
        if verb != "delete":
            parts.append(exec_event(event_id=f"event-{number}") if valid else NOT_AN_EVENT)
        accepted = valid and verb in ("create", "index")
        expected.append((verb, 201 if accepted else 400))
        ids.append(f"id-{number}")
    answer = bulk(agent, ndjson(*parts))
    assert item_statuses(answer) == expected
    assert [item["_id"] for entry in answer.json()["items"] for item in entry.values()] == ids
    stored = sum(alert.match_count for alert in alerts_of(database))
    assert stored == sum(status == 201 for _, status in expected)


def test_the_response_has_errors_in_the_form_that_vector_searches_for(agent: AgentClient) -> None:
    valid, invalid = ndjson(CREATE, benign_event()), ndjson(CREATE, NOT_AN_EVENT)
    assert b'"errors":false' in bulk(agent, valid).content
    assert b'"errors":true' in bulk(agent, invalid + valid).content
    # An id cannot imitate it.
    misleading = ndjson({"create": {"_id": '"errors":true'}}, benign_event())
    assert b'"errors":true' not in bulk(agent, misleading).content


@pytest.mark.parametrize("body", [b"", b"\n\n \r\n", b"\xef\xbb\xbf"])
def test_a_body_without_lines_is_refused(agent: AgentClient, body: bytes) -> None:
    response = bulk(agent, body)
    assert response.status_code == 400
    problem = response.json()
    assert problem["status"] == 400
    assert "empty" in problem["error"]["reason"]
