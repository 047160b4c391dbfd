"""Recorded requests of shippers that cannot run in the tests are answered so that the shippers lose nothing.

Each line of a file in `recorded/` is a request: request line, headers and body (before compression). KEY
stands for the API key in the form that the scheme of the header requires.
"""

import base64
import gzip
import http.client
import json
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.actions import api_keys
from app.domain.principal import CLI_PRINCIPAL, Role
from tests.processes import TIMEOUT_SECONDS, wait_until
from tests.shippers.conftest import Deckwatch, EventSample

RECORDED = Path(__file__).parent / "recorded"

# For each shipper: the number of events and of rejected events in its requests.
EVENTS = {
    "benthos": (2, 0),
    "falcosidekick": (7, 0),
    "fluent-bit": (7, 2),
    "go-elasticsearch": (14, 1),
    "opensearch-go": (6, 0),
}
# Statuses other than 200.
STATUSES = {
    "POST /elastic/falco-2026.11.24/_doc": 201,
    "POST /elastic/falco/_doc": 201,
    # The client asks whether an index exists. It creates no index after the answer.
    "HEAD /elastic/falco": 404,
}


def read_requests(shipper: str) -> list[dict[str, Any]]:
    lines = (RECORDED / f"{shipper}.ndjson").read_text().splitlines()
    return [json.loads(line) for line in lines]


def replay(port: int, key: str, recorded: dict[str, Any]) -> tuple[int, bytes]:
    """Send the bytes of a recorded request; return status and body of the response."""
    body = recorded["body"].encode()
    headers = dict(recorded["headers"])
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.compress(body)
    if "Authorization" in headers:
        scheme = headers["Authorization"].split()[0]
        secret = key if scheme == "Bearer" else base64.b64encode(f"any:{key}".encode()).decode()
        headers["Authorization"] = f"{scheme} {secret}"
    lines = [f"{recorded['request']} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall("\r\n".join(lines).encode() + body)
        response = http.client.HTTPResponse(connection, method=recorded["request"].split()[0])
        response.begin()
        return response.status, response.read()


def new_key(deckwatch: Deckwatch, name: str) -> str:
    return api_keys.create(
        deckwatch.database, name, Role.AGENT, principal=CLI_PRINCIPAL, at=datetime.now(UTC)
    )[1]


def test_every_recording_is_replayed() -> None:
    assert {path.stem for path in RECORDED.glob("*.ndjson")} == set(EVENTS)


@pytest.mark.parametrize("shipper", EVENTS)
def test_every_recorded_request_gets_the_expected_status_and_loses_no_event(
    deckwatch: Deckwatch, shipper: str
) -> None:
    key = new_key(deckwatch, f"recorded-{shipper}")
    for recorded in read_requests(shipper):
        status, body = replay(deckwatch.port, key, recorded)
        assert status == STATUSES.get(recorded["request"], 200), (recorded["request"], body)
    sample = EventSample(f"recorded-{shipper}", key, (), deckwatch.database)
    wait_until(lambda: sample.received()[0] >= EVENTS[shipper][0], "the counts of the traffic")
    assert sample.received() == EVENTS[shipper]


def test_falcosidekick_stores_its_alerts_with_the_defaults_of_its_elasticsearch_output(
    deckwatch: Deckwatch,
) -> None:
    key = new_key(deckwatch, "falcosidekick-defaults")
    documents = [r for r in read_requests("falcosidekick") if r["request"].endswith("/_doc")]
    answers = [replay(deckwatch.port, key, recorded) for recorded in documents]
    assert [status for status, _ in answers] == [201, 201]
    assert [json.loads(body)["result"] for _, body in answers] == ["created", "created"]


def test_falcosidekick_checks_and_creates_its_index_template_without_credentials(
    deckwatch: Deckwatch,
) -> None:
    templates = [r for r in read_requests("falcosidekick") if "_index_template" in r["request"]]
    assert all("Authorization" not in recorded["headers"] for recorded in templates)
    (found, created) = [replay(deckwatch.port, "", recorded) for recorded in templates]
    assert (found[0], json.loads(found[1])["index_templates"][0]["name"]) == (200, "falco")
    assert (created[0], json.loads(created[1])) == (200, {"acknowledged": True})


@pytest.mark.parametrize("path", ["/elastic/_bulk", "/api/v1/events"])
def test_fluent_bit_stops_repeating_a_chunk_with_an_invalid_event(
    deckwatch: Deckwatch, path: str
) -> None:
    name = "bad-chunk" + path.replace("/", "-")
    key = new_key(deckwatch, name)
    (chunk,) = (
        recorded
        for recorded in read_requests("fluent-bit")
        if recorded["request"] == f"POST {path}" and "a plain log line" in recorded["body"]
    )
    first, second = (json.loads(replay(deckwatch.port, key, chunk)[1]) for _ in range(2))
    if path == "/api/v1/events":
        assert [each["repeated"] for each in first["rejected"]] == [False]
        assert [each["repeated"] for each in second["rejected"]] == [True]
        return
    assert (first["errors"], second["errors"]) == (True, False)
    assert [item["create"]["status"] for item in first["items"]] == [201, 400]
    assert [item["create"]["status"] for item in second["items"]] == [201, 200]
    sample = EventSample(name, key, (), deckwatch.database)
    assert sample.received() == (4, 2)
