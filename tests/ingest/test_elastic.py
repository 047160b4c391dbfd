"""`/elastic/…`: the requests of shippers before and while they send, API keys, media types, errors."""

import base64
import gzip
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from sqlmodel import select
from starlette.testclient import TestClient

from app.domain.errors import Unavailable
from app.domain.principal import Role
from app.ingest.events import MAX_EVENTS_PER_REQUEST
from app.settings import Settings, read_settings
from app.store.database import Database
from app.store.tables import Alert
from tests.bulk_requests import (
    CREATE,
    CREATED,
    NOT_AN_EVENT,
    REJECTED,
    STRAY_REJECTED,
    bulk,
    item_statuses,
    ndjson,
)
from tests.conftest import ORIGIN, AgentClient
from tests.factories import benign_event, exec_event


def alerts_of(database: Database) -> list[Alert]:
    with database.read() as session:
        return list(session.exec(select(Alert)))


def test_an_event_sent_by_bulk_opens_an_alert(agent: AgentClient, database: Database) -> None:
    answer = bulk(agent, ndjson(CREATE, exec_event()))
    assert answer.headers["x-elastic-product"] == "Elasticsearch"
    assert answer.json()["items"] == [
        {"create": {"_index": "logs", "status": 201, "result": "created"}}
    ]
    assert [alert.host for alert in alerts_of(database)] == ["node-11"]


def test_a_duplicate_gets_the_same_response_and_changes_nothing(
    agent: AgentClient, database: Database
) -> None:
    body = ndjson({"index": {"_index": "logs", "_id": "one"}}, exec_event())
    first, second = bulk(agent, body), bulk(agent, body)
    assert first.json()["items"] == second.json()["items"]
    assert item_statuses(second) == [("index", 201)]
    assert [alert.match_count for alert in alerts_of(database)] == [1]


JSON, NDJSON = "application/json", "application/x-ndjson"
V8, V9 = (f"application/vnd.elasticsearch+json;compatible-with={n}" for n in (8, 9))


@pytest.mark.parametrize(
    ("sent", "accepted", "answered"),
    [
        (NDJSON, None, JSON),
        (JSON, JSON, JSON),
        ("application/vnd.elasticsearch+x-ndjson; compatible-with=8", V8, V8),
        ("application/vnd.elasticsearch+x-ndjson;compatible-with=9", V9, V9),
        ("application/vnd.elasticsearch+x-ndjson; compatible-with=9", None, V9),
        ("application/vnd.elasticsearch+json; compatible-with=8", "*/*", V8),
        ("application/vnd.elasticsearch+x-ndjson; compatible-with=12", None, JSON),
        ("text/plain", None, JSON),
        ("", None, JSON),
    ],
)
def test_the_response_has_the_media_type_of_the_client_version(
    agent: AgentClient, sent: str, accepted: str | None, answered: str
) -> None:
    headers = {"Content-Type": sent} | ({"Accept": accepted} if accepted else {})
    answer = bulk(agent, ndjson(CREATE, exec_event()), **headers)
    assert item_statuses(answer) == [CREATED]
    assert answer.headers["content-type"] == answered


def test_a_compressed_body_is_accepted_and_a_damaged_one_refused(agent: AgentClient) -> None:
    compressed = gzip.compress(ndjson(CREATE, exec_event()))
    assert item_statuses(bulk(agent, compressed, **{"Content-Encoding": "gzip"})) == [CREATED]
    assert bulk(agent, compressed[:-4], **{"Content-Encoding": "gzip"}).status_code == 400
    assert bulk(agent, compressed, **{"Content-Encoding": "br"}).status_code == 415


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        lambda key: f"Bearer {key}",
        lambda key: f"ApiKey {key}",
        lambda key: "ApiKey " + _encoded(f"any-id:{key}"),
        lambda key: "Basic " + _encoded(f"elastic:{key}"),
    ],
)
def test_an_api_key_is_accepted_in_each_scheme_that_shippers_use(
    agent: AgentClient, header: Callable[[str], str]
) -> None:
    answer = bulk(agent, ndjson(CREATE, exec_event()), Authorization=header(agent.key))
    assert item_statuses(answer) == [CREATED]


# Requests that shippers make before they send.
PREFLIGHT = [
    ("GET", "/elastic/"),
    ("GET", "/elastic"),
    ("HEAD", "/elastic/"),
    ("GET", "/elastic/_license?human=false"),
    ("GET", "/elastic/_license"),
    ("GET", "/elastic/_cluster/health"),
    ("GET", "/elastic/_cat/health"),
    ("GET", "/elastic/logs-1/_refresh"),
    ("POST", "/elastic/logs-1/_refresh"),
]


def test_preflight_requests_of_shippers_succeed(agent: AgentClient) -> None:
    headers = {"Authorization": "ApiKey " + _encoded(f"id:{agent.key}")}
    for method, path in PREFLIGHT:
        answer = agent.client.request(method, path, headers=headers)
        assert answer.status_code == 200, path
        assert answer.headers["x-elastic-product"] == "Elasticsearch"
        assert method != "HEAD" or answer.content == b""


def test_filebeat_and_logstash_get_the_version_and_licence_they_require(
    agent: AgentClient,
) -> None:
    headers = {"Authorization": f"Bearer {agent.key}"}
    version = agent.client.get("/elastic/", headers=headers).json()["version"]
    assert [part.isdigit() for part in version["number"].split(".")] == [True] * 3
    assert int(version["number"].partition(".")[0]) >= 9
    assert version["build_flavor"] == "default"
    license = agent.client.get("/elastic/_license?human=false", headers=headers).json()["license"]
    assert (license["status"], license["type"]) == ("active", "basic")
    health = agent.client.get("/elastic/_cluster/health", headers=headers).json()
    assert (health["status"], health["timed_out"]) == ("green", False)
    cat_health = agent.client.get("/elastic/_cat/health", headers=headers).text.split()
    assert cat_health[1:4] == ["12:00:00", "deckwatch", "green"]


def test_error_responses_have_the_product_header_and_a_reason(
    agent: AgentClient, make_key: Callable[[str, Role], str]
) -> None:
    analyst = AgentClient(agent.client, make_key("ana", Role.ANALYST))
    answers = {
        401: bulk(agent, b"", Authorization="ApiKey nonsense"),
        403: bulk(analyst, ndjson(CREATE, exec_event())),
        404: agent.client.get("/elastic/_cat/indices"),
        405: agent.client.delete("/elastic/_bulk"),
        307: agent.client.get("/elastic/_license/"),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["x-elastic-product"] == "Elasticsearch"
        if status >= 400:
            assert answer.headers["content-type"] == "application/json"
            problem = answer.json()
            assert problem["status"] == status
            assert problem["error"]["type"].endswith("_exception")
            assert problem["error"]["reason"]


def test_an_internal_error_has_the_product_header(
    agent: AgentClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("a secret detail")

    monkeypatch.setattr("app.ingest.writer.record_matches", fail)
    client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
    answer = bulk(AgentClient(client, agent.key), ndjson(CREATE, exec_event()))
    assert answer.status_code == 500
    assert answer.headers["x-elastic-product"] == "Elasticsearch"
    assert "secret detail" not in answer.text


def test_a_busy_database_refuses_the_request_with_retry_after(
    agent: AgentClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise Unavailable("Too many requests wait for the database; try again.", 3)

    body = ndjson(CREATE, exec_event(), CREATE, NOT_AN_EVENT)
    with monkeypatch.context() as patched:
        patched.setattr("app.ingest.writer.record_matches", busy)
        answer = bulk(agent, body)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "3"
    assert "items" not in answer.json()
    assert item_statuses(bulk(agent, body)) == [CREATED, REJECTED]


class TestWithSmallLimits:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return read_settings(
            database_url=settings.database_url, max_body_bytes=20_000, max_event_bytes=2_000
        )

    def test_a_too_large_body_is_refused_compressed_or_not(self, agent: AgentClient) -> None:
        for path in ("/elastic/_bulk", "/elastic/logs/_bulk"):
            body = ndjson(*[CREATE, benign_event()] * 40)
            assert len(body) > 20_000
            assert bulk(agent, body, path).status_code == 413
            compressed = bulk(agent, gzip.compress(body), path, **{"Content-Encoding": "gzip"})
            assert compressed.status_code == 413
            assert compressed.json()["status"] == 413

    def test_a_too_large_event_is_rejected_alone(self, agent: AgentClient) -> None:
        large = exec_event("ssh", "x" * 3_000)
        answer = bulk(agent, ndjson(CREATE, large, CREATE, exec_event(), large))
        assert item_statuses(answer) == [REJECTED, CREATED, STRAY_REJECTED]
        assert "2000 bytes" in answer.json()["items"][2]["index"]["error"]["reason"]


def test_a_request_with_too_many_events_is_refused(agent: AgentClient, database: Database) -> None:
    body = ndjson(CREATE, exec_event()) + b'{"index":{}}\n{}\n' * MAX_EVENTS_PER_REQUEST
    assert bulk(agent, body).status_code == 413
    assert alerts_of(database) == []


def test_an_index_name_in_the_url_is_limited_to_255_characters(
    agent: AgentClient,
) -> None:
    assert bulk(agent, ndjson(CREATE), f"/elastic/{'x' * 256}/_bulk").status_code == 404
    assert item_statuses(bulk(agent, ndjson(CREATE, exec_event()), f"/elastic/{'x' * 255}/_bulk"))
