"""Request bodies that could take a lot of time or memory: each is refused or processed quickly."""

import gzip
import json

import pytest
import zstandard
from starlette.testclient import TestClient

from app.ingest.events import MAX_EVENTS_PER_REQUEST
from tests.conftest import AgentClient
from tests.factories import benign_event, exec_event


def test_a_request_over_the_event_limit_is_refused(agent: AgentClient) -> None:
    lines = b"1\n" * (MAX_EVENTS_PER_REQUEST + 1)
    for body in (
        lines,
        b"[" + b"1," * MAX_EVENTS_PER_REQUEST + b"1]",
        b"[" + b"1," * MAX_EVENTS_PER_REQUEST,
    ):
        answer = agent.send(body)
        assert answer.status_code == 413
        assert "more than 100,000 events" in answer.json()["detail"]


def test_one_pretty_printed_event_may_exceed_the_event_limit_in_lines(
    agent: AgentClient,
) -> None:
    event = exec_event("ssh", *["-v"] * (MAX_EVENTS_PER_REQUEST + 1), "host")
    receipt = agent.send_events(json.dumps(event, indent=1).encode())
    assert (receipt["received"], receipt["matched"]) == (1, 1)


COSTLY: dict[str, bytes] = {  # each would take minutes if the time grew with the square of the size
    "an unclosed text of quotes in an array": b'["' + b'\\"' * 250_000 + b"\\",
    "an unclosed text of quotes among brackets": b"[]" * 60 + b'"' + b'\\"' * 250_000,
    "the same as an event": b'{"a":[' + b"[]," * 60 + b'"' + b'\\"' * 250_000,
    "only brackets": b"[" * 4_000_000,
    "only line ends": b"\n" * 4_000_000 + b"{",
    "an array that breaks at its end": b"[" + b'{"a":[1,{"b":"]"}]},' * 50_000,
}


@pytest.mark.parametrize("body", COSTLY.values(), ids=COSTLY.keys())
def test_a_broken_body_costs_time_in_proportion(agent: AgentClient, body: bytes) -> None:
    assert agent.send(body).status_code == 200


PACKED: dict[
    str, tuple[str, bytes]
] = {  # each takes a second; it would take minutes if each member copied the rest of the body
    "very many gzip members": ("gzip", gzip.compress(b"") * 200_000 + gzip.compress(b"{}")),
    "very many zstd frames": (
        "zstd",
        zstandard.compress(b"") * 200_000 + zstandard.compress(b"{}"),
    ),
}


@pytest.mark.parametrize(("encoding", "body"), PACKED.values(), ids=PACKED.keys())
def test_a_packed_body_costs_time_in_proportion(
    agent: AgentClient, encoding: str, body: bytes
) -> None:
    receipt = agent.send_events(body, **{"Content-Encoding": encoding})
    assert receipt["received"] == len(receipt["rejected"]) > 0


def test_fifty_thousand_lines_are_one_request(agent: AgentClient) -> None:
    line = json.dumps(benign_event()).encode()
    receipt = agent.send_events(b"\n".join([*[line] * 50_000, json.dumps(exec_event()).encode()]))
    assert (receipt["received"], receipt["matched"]) == (50_001, 1)


def test_a_large_body_without_credentials_is_refused(
    anonymous: TestClient,
) -> None:
    body = b'{"reason":"' + b"x" * 2_000_000 + b'"}'
    for method, path in (("POST", "/api/v1/exclusions"), ("PATCH", "/api/v1/alerts/1")):
        answer = anonymous.request(
            method, path, content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413, path
        assert "exceeds the limit" in answer.json()["detail"]
