"""Sending events: accepted, rejected and duplicate events, and their receipt (long because of tables)."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from sqlmodel import func, select

from app.domain.principal import Role
from app.settings import Settings, read_settings
from app.store.database import Database
from app.store.tables import Alert, Match, QuarantinedEvent
from tests.conftest import AgentClient
from tests.factories import benign_event, exec_event


def alerts_of(database: Database) -> list[Alert]:
    with database.read() as session:
        return list(session.exec(select(Alert)))


def test_an_in_container_ssh_is_matched_and_opens_an_alert(
    agent: AgentClient, database: Database
) -> None:
    assert agent.send_events(exec_event()) == {
        "received": 1,
        "matched": 1,
        "suppressed": 0,
        "duplicates": 0,
        "rejected": [],
    }
    (alert,) = alerts_of(database)
    assert (alert.headline, alert.host, alert.match_count) == (
        "ssh to 10.42.3.17:2222 as deploy",
        "node-11",
        1,
    )


def test_an_event_without_a_match_is_accepted_and_not_stored(
    agent: AgentClient, database: Database
) -> None:
    assert agent.send_events(benign_event())["matched"] == 0
    with database.read() as session:
        assert session.exec(select(func.count()).select_from(Match)).one() == 0


def test_a_duplicate_changes_nothing(agent: AgentClient, database: Database) -> None:
    event = exec_event()
    agent.send_events(event)
    receipt = agent.send_events(event)
    assert (receipt["matched"], receipt["duplicates"]) == (0, 1)
    (alert,) = alerts_of(database)
    assert alert.match_count == 1


def test_a_duplicate_in_the_same_request_changes_nothing(
    agent: AgentClient, database: Database
) -> None:
    event = exec_event()
    receipt = agent.send_events([event, event, event])
    assert (receipt["received"], receipt["matched"], receipt["duplicates"]) == (3, 1, 2)


def test_the_same_event_id_from_another_key_is_no_duplicate(
    agent: AgentClient, make_key: Callable[[str, Role], str]
) -> None:
    event = exec_event()
    other = AgentClient(agent.client, make_key("other", Role.AGENT))
    assert agent.send_events(event)["matched"] == 1
    assert other.send_events(event)["matched"] == 1


def test_events_without_an_id_are_duplicates_if_their_content_is_equal(agent: AgentClient) -> None:
    first, second = exec_event(), exec_event()
    for event in (first, second):
        del event["event"]["id"]
    assert agent.send_events(first)["matched"] == 1
    assert agent.send_events(first)["duplicates"] == 1
    assert agent.send_events(second)["matched"] == 1


def test_different_events_without_id_time_and_pid_are_no_duplicates(agent: AgentClient) -> None:
    def bare(container: str, note: str) -> dict[str, Any]:
        event = exec_event(container=container, note=note)
        del event["event"]["id"], event["@timestamp"], event["process"]["pid"]
        return event

    assert agent.send_events([bare("a", "1"), bare("a", "2"), bare("b", "1")])["matched"] == 3


def nested() -> dict[str, Any]:
    return exec_event()


def dotted() -> dict[str, Any]:
    return {
        "event.category": ["process"],
        "event.type": "start",
        "event.action": ["fork", "exec"],
        "host.os.type": "linux",
        "host.name": "node-1",
        "process.name": ["ssh"],
        "process.args": ["ssh", "10.0.0.1"],
        "process.entry_leader.entry_meta.type": "container",
    }


def mixed() -> dict[str, Any]:
    event = exec_event()
    event["process"] = {
        "name": "ssh",
        "entry_leader.entry_meta": {"type": ["container"]},
        "parent.name": "sh",
    }
    event["host"] = {"os.type": "linux"}
    return event


def hit() -> dict[str, Any]:
    return {"_index": "logs", "_id": "x", "_source": exec_event()}


@pytest.mark.parametrize("shape", [nested, dotted, mixed, hit])
def test_an_event_matches_with_nested_and_with_dotted_keys(
    agent: AgentClient, shape: Callable[[], dict[str, Any]]
) -> None:
    assert agent.send_events(shape())["matched"] == 1


def ndjson(events: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(event).encode() for event in events)


BODIES: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "an array": lambda events: json.dumps(events).encode(),
    "a pretty-printed array": lambda events: json.dumps(events, indent=2).encode(),
    "lines": ndjson,
    "lines with blank lines between them and a final line end": lambda events: (
        b"\r\n\r\n".join(json.dumps(event).encode() for event in events) + b"\n"
    ),
    "lines after a byte order mark": lambda events: b"\xef\xbb\xbf" + ndjson(events),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_events_can_be_sent_as_an_array_or_as_lines(
    agent: AgentClient, body: Callable[[list[dict[str, Any]]], bytes]
) -> None:
    receipt = agent.send_events(body([exec_event(), benign_event(), exec_event()]))
    assert (receipt["received"], receipt["matched"], receipt["rejected"]) == (3, 2, [])


def test_one_event_can_be_pretty_printed(agent: AgentClient) -> None:
    body = json.dumps(exec_event(), indent=2).encode()
    assert agent.send_events(body) | {"rejected": []} == {
        "received": 1,
        "matched": 1,
        "suppressed": 0,
        "duplicates": 0,
        "rejected": [],
    }


ENCODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip in two members": ("gzip", lambda b: gzip.compress(b[:10]) + gzip.compress(b[10:])),
    "x-gzip": ("x-gzip", gzip.compress),
    "zstd": ("zstd", zstandard.compress),
    "zstd in two frames": ("zstd", lambda b: zstandard.compress(b[:9]) + zstandard.compress(b[9:])),
    "identity": ("identity", bytes),
}


@pytest.mark.parametrize(("name", "encode"), ENCODINGS.values(), ids=ENCODINGS.keys())
def test_a_body_can_be_compressed(
    agent: AgentClient, name: str, encode: Callable[[bytes], bytes]
) -> None:
    body = encode(ndjson([exec_event(), exec_event()]))
    assert agent.send_events(body, **{"Content-Encoding": name})["matched"] == 2


REFUSED = {
    "an empty body": (b"", "", 400),
    "only white space": (b" \n\r\n ", "", 400),
    "invalid gzip": (b"\x1f\x8bnot gzip", "gzip", 400),
    "truncated gzip": (gzip.compress(b"{}" * 500)[:-9], "gzip", 400),
    "invalid zstd": (b"not zstd at all", "zstd", 400),
    "truncated zstd": (zstandard.compress(b'{"a":1}\n' * 500)[:-3], "zstd", 400),
    "gzip with trailing data": (gzip.compress(b"{}") + b"behind " * 9, "gzip", 400),
    "an unknown encoding": (b"{}", "br", 415),
    "a gzip bomb": (gzip.compress(b" " * 3_000_000), "gzip", 413),
    "a zstd bomb": (zstandard.compress(b" " * 3_000_000), "zstd", 413),
    "too many bytes": (b" " * 2_000_001, "", 413),
}


class TestRefusedBodies:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return read_settings(database_url=settings.database_url, max_body_bytes=2_000_000)

    @pytest.mark.parametrize(("body", "encoding", "status"), REFUSED.values(), ids=REFUSED.keys())
    def test_an_unreadable_or_too_large_body_is_refused_with_a_reason(
        self, agent: AgentClient, database: Database, body: bytes, encoding: str, status: int
    ) -> None:
        answer = agent.send(body, **({"Content-Encoding": encoding} if encoding else {}))
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert len(answer.json()["detail"]) > 20
        with database.read() as session:
            assert session.exec(select(func.count()).select_from(QuarantinedEvent)).one() == 0


BAD_EVENTS: dict[str, tuple[bytes, str]] = {
    "broken JSON": (b'{"event":{"category":', "not JSON"),
    "a number": (b"17", "a number"),
    "a string": (b'"ssh"', "a string"),
    "null": (b"null", "null"),
    "a list": (b"[1]", "a list"),
    "an unknown format": (b'{"msg":"hello"}', "no known agent format"),
    "bytes that are not UTF-8": (b'{"event":{"kind":"event"},"x":"\xff"}', "not UTF-8 at byte 31"),
    "NaN": (b'{"event":{"kind":"event"},"x":NaN}', "NaN"),
    "too deep": (ndjson([exec_event()])[:-1] + b',"x":' + b"[" * 200 + b"]" * 200 + b"}", "deeper"),
    "far too deep": (b"[" * 100_000, "deeper"),
    "an Elasticsearch hit without an event": (b'{"_source":{"a":1}}', "_source"),
    "trailing text": (b'{"event":{"kind":"event"}} x', "not JSON"),
}


@pytest.mark.parametrize(("bad", "reason"), BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
def test_an_invalid_line_is_quarantined_and_its_neighbours_are_accepted(
    agent: AgentClient, database: Database, bad: bytes, reason: str
) -> None:
    body = ndjson([exec_event()]) + b"\n" + bad + b"\n\n" + ndjson([exec_event()])
    receipt = agent.send_events(body)
    assert (receipt["received"], receipt["matched"]) == (3, 2)
    (rejected,) = receipt["rejected"]
    assert (rejected["index"], rejected["line"]) == (1, 2)
    assert reason in rejected["error"]
    with database.read() as session:
        (quarantined,) = session.exec(select(QuarantinedEvent))
    assert quarantined.event == bad
    assert quarantined.reason == rejected["error"]


@pytest.mark.parametrize(
    ("bad", "rejected"),
    [(b"17", 1), (b'{"a":', 1), (b"", 1), (b'{"a":"unclosed', 1), (b"nonsense", 1)],
)
def test_an_invalid_array_element_does_not_affect_the_others(
    agent: AgentClient, bad: bytes, rejected: int
) -> None:
    valid = json.dumps(exec_event(note='with ] and , and " inside')).encode()
    receipt = agent.send_events(b"[" + valid + b"," + bad + b"]")
    assert receipt["matched"] == 1
    assert len(receipt["rejected"]) == rejected


def test_an_unclosed_array_counts_a_missing_event_as_rejected(agent: AgentClient) -> None:
    receipt = agent.send_events(json.dumps([exec_event(), exec_event()]).encode()[:-1])
    (rejected,) = receipt["rejected"]
    assert (receipt["received"], receipt["matched"], rejected["index"]) == (3, 2, 2)


def test_an_event_with_a_number_of_100_000_digits_is_accepted(agent: AgentClient) -> None:
    event = json.dumps(exec_event() | {"labels": {"n": 1}}).encode()
    receipt = agent.send_events(event.replace(b'"n": 1', b'"n": ' + b"7" * 100_000))
    assert (receipt["matched"], receipt["rejected"]) == (1, [])


def test_received_counts_accepted_and_rejected_events(agent: AgentClient) -> None:
    lines = [ndjson([exec_event()]), b"{", ndjson([benign_event()]), b"null", b"{}"]
    receipt = agent.send_events(b"\n".join(lines))
    assert receipt["received"] == 5
    assert [event["line"] for event in receipt["rejected"]] == [2, 4, 5]


def test_an_event_above_the_size_limit_is_quarantined(
    agent: AgentClient, database: Database, settings: Settings
) -> None:
    event = exec_event(note="x" * settings.max_event_bytes)
    receipt = agent.send_events([event, exec_event()])
    assert (receipt["matched"], len(receipt["rejected"])) == (1, 1)
    with database.read() as session:
        (quarantined,) = session.exec(select(QuarantinedEvent))
    assert json.loads(quarantined.event) == event


def test_an_argument_with_a_lone_surrogate_still_opens_an_alert(
    agent: AgentClient, database: Database
) -> None:
    event = exec_event("ssh", "-o", "X=\udcff", "a\x00b", "host\u202e.example")
    receipt = agent.send_events(json.dumps(event).encode())
    assert receipt["matched"] == 1
    (alert,) = alerts_of(database)
    assert "\\udcff" in alert.command_line
    assert "\\x00" in alert.command_line


def test_the_event_of_a_match_is_stored_byte_for_byte(
    agent: AgentClient, database: Database
) -> None:
    raw = json.dumps(exec_event(note="ünï"), ensure_ascii=False, indent=1).encode()
    agent.send_events(raw)
    with database.read() as session:
        (match,) = session.exec(select(Match))
    assert match.event == raw
