"""What `_bulk` makes of a body: which item answers which action, and that no good event is lost."""

from itertools import chain
from typing import Any

import pytest
from sqlmodel import select

from app.ingest.bulk import BulkSplitter
from app.ingest.evaluate import Evaluation
from app.ingest.events import RawEvent, RejectedEvent
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
def test_each_item_names_the_index_of_its_action_or_of_the_address(
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


# What stands in a body: actions and events by these names; and the items it is answered with.
EVENT, QUIET = "an event", "an event that no rule cares about"
TABLE: dict[str, tuple[list[object], list[tuple[str, int]]]] = {
    "two events": ([CREATE, EVENT, CREATE, EVENT], [CREATED, CREATED]),
    "a bad one between": (
        [CREATE, EVENT, CREATE, NOT_AN_EVENT, CREATE, EVENT],
        [CREATED, REJECTED, CREATED],
    ),
    "a bad one among many that are alike": (
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
    "_type and other things we do not need": (
        [{"create": {"_type": "_doc", "pipeline": "p", "require_alias": False}}, EVENT],
        [CREATED],
    ),
    "a blank line behind each event, as rsyslog writes it": (
        [CREATE, EVENT, b"", CREATE, EVENT, b"", b" \t\r"],
        [CREATED, CREATED],
    ),
    "white space in an action": ([b' { "create" : { } } \r', EVENT], [CREATED]),
    "a delete has no event": (
        [{"delete": {"_id": "x"}}, CREATE, EVENT],
        [("delete", 400), CREATED],
    ),
    "an update has one": (
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
    "an action as long as a book": ([{"create": {"_id": "x" * 10_000}}, EVENT], [STRAY_CREATED]),
    "a broken action and a broken event": (
        [b"{", NOT_AN_EVENT, CREATE, EVENT],
        [STRAY_REJECTED, CREATED],
    ),
    "a broken action without an event": ([b"{", CREATE, EVENT], [STRAY_REJECTED, CREATED]),
    "a broken action at the end": ([CREATE, EVENT, b"{"], [CREATED, STRAY_REJECTED]),
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
    "no object at all": ([b"1", CREATE, EVENT, b'"x"'], [STRAY_REJECTED, CREATED, STRAY_REJECTED]),
    "a byte order mark": ([b"\xef\xbb\xbf" + CREATE, EVENT], [CREATED]),
}


def made(parts: list[object]) -> tuple[bytes, int]:
    """The body, and how many events of it must match."""
    values = {EVENT: exec_event, QUIET: benign_event}
    body = ndjson(*(values[p]() if isinstance(p, str) else p for p in parts))
    return body, parts.count(EVENT)


@pytest.mark.parametrize("name", TABLE)
def test_every_action_has_its_item_and_no_good_event_is_lost(
    agent: AgentClient, database: Database, name: str
) -> None:
    parts, wanted = TABLE[name]
    body, good = made(parts)
    assert item_statuses(bulk(agent, body)) == wanted
    assert sum(alert.match_count for alert in alerts_of(database)) == good
    # Whatever else there was is kept, and counted.
    with database.read() as session:
        (minute,) = session.exec(select(ApiKeyMinute))
    assert minute.rejected == len(quarantined(database))
    assert minute.received - minute.rejected == good + parts.count(QUIET)
    assert minute.rejected >= sum(status == 400 for _, status in wanted)


@pytest.mark.parametrize("name", TABLE)
def test_where_a_body_is_split_on_its_way_makes_no_difference(name: str) -> None:
    body, _ = made(TABLE[name][0])
    for whole in (body, body.rstrip(b"\n")):
        wanted = found([whole])
        for size in (1, 7, 61, 1_000):
            parts = [whole[at : at + size] for at in range(0, len(whole), size)]
            assert found(parts) == wanted


def found(parts: list[bytes]) -> tuple[list[RawEvent], list[Evaluation], bytes]:
    """The events, what was refused, and the answer when all others are fine."""
    splitter = BulkSplitter(index=None, max_event_bytes=10**6, max_line_bytes=10**6, max_events=100)
    blocks = chain(chain.from_iterable(map(splitter.feed, parts)), splitter.end())
    events = list(chain.from_iterable(blocks))
    refused = list(splitter.take_rejected())
    rejected = [RejectedEvent(one.raw_event, one.rejection_reason or "") for one in refused]
    return events, refused, splitter.response_body(rejected, took=0)


def test_half_a_byte_order_mark_is_a_line_like_any_other() -> None:
    events, refused, _ = found([b"\xef", b"\xbb"])
    assert events == []
    assert [one.raw_event for one in refused] == [RawEvent(0, 1, b"\xef\xbb")]


def test_what_is_refused_says_why_and_is_kept_with_its_bytes(
    agent: AgentClient, database: Database
) -> None:
    delete = json_line({"delete": {"_index": "logs", "_id": "x"}})
    told = bulk(agent, ndjson(CREATE, NOT_AN_EVENT, delete, b"{", CREATE, b"\xff")).json()["items"]
    reasons = [one[verb]["error"]["reason"] for one in told for verb in one]
    assert "no known agent format" in reasons[0]
    assert "not update or delete" in reasons[1]
    assert "neither an action nor an event" in reasons[2]
    assert "not UTF-8" in reasons[3]
    assert {one[verb]["error"]["type"] for one in told for verb in one} == {
        "document_parsing_exception"
    }
    kept = quarantined(database)
    assert sorted(kept) == sorted(zip([NOT_AN_EVENT, delete, b"{", b"\xff"], reasons, strict=True))


def test_a_thousand_mixed_actions_are_answered_in_their_order(
    agent: AgentClient, database: Database
) -> None:
    parts: list[object] = []
    wanted: list[tuple[str, int]] = []
    ids: list[str] = []
    for number in range(1_000):
        verb = ("create", "index", "update", "delete")[(number * 7 + number // 3) % 4]
        good = number % 5 != 0
        parts.append({verb: {"_index": "logs", "_id": f"id-{number}"}})
        if verb != "delete":
            parts.append(exec_event(event_id=f"event-{number}") if good else NOT_AN_EVENT)
        taken = good and verb in ("create", "index")
        wanted.append((verb, 201 if taken else 400))
        ids.append(f"id-{number}")
    answer = bulk(agent, ndjson(*parts))
    assert item_statuses(answer) == wanted
    assert [item["_id"] for one in answer.json()["items"] for item in one.values()] == ids
    stored = sum(alert.match_count for alert in alerts_of(database))
    assert stored == sum(status == 201 for _, status in wanted)


def test_errors_stands_in_the_answer_as_vector_looks_for_it(agent: AgentClient) -> None:
    good, bad = ndjson(CREATE, benign_event()), ndjson(CREATE, NOT_AN_EVENT)
    assert b'"errors":false' in bulk(agent, good).content
    assert b'"errors":true' in bulk(agent, bad + good).content
    # Nor can an id that somebody chose say it.
    chosen = ndjson({"create": {"_id": '"errors":true'}}, benign_event())
    assert b'"errors":true' not in bulk(agent, chosen).content


@pytest.mark.parametrize("body", [b"", b"\n\n \r\n", b"\xef\xbb\xbf"])
def test_a_body_without_a_line_is_refused_as_a_whole(agent: AgentClient, body: bytes) -> None:
    answer = bulk(agent, body)
    assert answer.status_code == 400
    told = answer.json()
    assert told["status"] == 400
    assert "empty" in told["error"]["reason"]
