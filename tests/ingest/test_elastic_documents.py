"""`/elastic/{index}/_doc` and `/_create`, which take one event, and the templates that shippers create."""

import gzip
import json
from typing import Any

import pytest
from sqlmodel import select

from app.store.database import Database
from app.store.tables import Alert
from tests.bulk_requests import NOT_AN_EVENT
from tests.conftest import AgentClient
from tests.factories import benign_event, exec_event
from tests.quarantined import count_quarantined

# What Elasticsearch returns beside the index, the id and the result, as its clients' models require.
SHARDS = {"_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": 0, "_primary_term": 1}


def send_document(agent: AgentClient, method: str, path: str, body: object, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body, indent=1).encode()
    all_headers = {"Authorization": f"ApiKey {agent.key}", "Content-Type": "application/json"}
    return agent.client.request(
        method, f"/elastic/{path}", content=content, headers=all_headers | headers
    )


def match_counts(database: Database) -> list[int]:
    with database.read() as session:
        return [alert.match_count for alert in session.exec(select(Alert))]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("path", "document_id"),
    [
        ("falco-2026.11.25/_doc", None),
        ("falco/_doc/one", "one"),
        ("falco/_create/two", "two"),
        ("falco/_doc/a%2Fb%20c", "a/b c"),
    ],
)
def test_a_document_opens_an_alert_and_gets_the_answer_of_elasticsearch(
    agent: AgentClient, database: Database, method: str, path: str, document_id: str | None
) -> None:
    answer = send_document(agent, method, path, exec_event())
    assert answer.status_code == 201
    assert answer.headers["x-elastic-product"] == "Elasticsearch"
    body = answer.json()
    returned_id = body.pop("_id")
    assert returned_id == document_id or (document_id is None and len(returned_id) == 20)
    index = path.split("/", maxsplit=1)[0]
    assert body == {"_index": index, "_version": 1, "result": "created"} | SHARDS
    assert match_counts(database) == [1]


def test_a_document_that_is_sent_again_is_stored_once(
    agent: AgentClient, database: Database
) -> None:
    event = exec_event()
    answers = [send_document(agent, "POST", "falco/_doc", event) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert match_counts(database) == [1]


def test_a_document_without_a_match_is_accepted(agent: AgentClient, database: Database) -> None:
    assert send_document(agent, "POST", "falco/_doc", benign_event()).status_code == 201
    assert match_counts(database) == []


def test_a_compressed_document_is_accepted(agent: AgentClient, database: Database) -> None:
    body = gzip.compress(json.dumps(exec_event()).encode())
    answer = send_document(agent, "POST", "f/_doc", body, **{"Content-Encoding": "gzip"})
    assert answer.status_code == 201
    assert match_counts(database) == [1]


def test_a_client_that_asks_for_a_version_gets_its_media_type(agent: AgentClient) -> None:
    media_type = "application/vnd.elasticsearch+json;compatible-with=9"
    answer = send_document(agent, "POST", "f/_doc", exec_event(), **{"Accept": media_type})
    assert answer.headers["content-type"] == media_type


@pytest.mark.parametrize("body", [NOT_AN_EVENT, b"{", b"[1]", b"\xff"])
def test_a_rejected_document_gets_400_with_the_reason_and_then_noop(
    agent: AgentClient, database: Database, body: bytes
) -> None:
    first = send_document(agent, "POST", "falco/_doc/x", body)
    assert first.status_code == 400
    error = first.json()["error"]
    assert error["type"] == "document_parsing_exception"
    assert error["reason"]
    assert error["root_cause"] == [{"type": error["type"], "reason": error["reason"]}]
    again = send_document(agent, "POST", "falco/_doc/x", body)
    assert (again.status_code, again.json()["result"]) == (200, "noop")
    assert count_quarantined(database).total() == 2


def test_an_empty_document_gets_400(agent: AgentClient) -> None:
    answer = send_document(agent, "POST", "falco/_doc", b"")
    assert answer.status_code == 400
    assert answer.json()["error"]["reason"]


def test_an_index_or_id_beyond_the_limits_of_elasticsearch_gets_404(agent: AgentClient) -> None:
    for path in (f"{'i' * 256}/_doc", f"falco/_doc/{'d' * 513}", "falco/_create/"):
        assert send_document(agent, "POST", path, exec_event()).status_code == 404


@pytest.mark.parametrize(
    ("api", "names"),
    [
        ("_index_template", lambda body: [each["name"] for each in body["index_templates"]]),
        (
            "_component_template",
            lambda body: [each["name"] for each in body["component_templates"]],
        ),
        ("_ilm/policy", list),
        ("_ingest/pipeline", list),
    ],
)
def test_templates_policies_and_pipelines_exist_and_can_be_created(
    agent: AgentClient, api: str, names: Any
) -> None:
    exists = send_document(agent, "HEAD", f"{api}/falco", b"")
    assert (exists.status_code, exists.content) == (200, b"")
    found = send_document(agent, "GET", f"{api}/falco", b"")
    assert (found.status_code, names(found.json())) == (200, ["falco"])
    created = send_document(agent, "PUT", f"{api}/falco", {"index_patterns": ["falco-*"]})
    assert (created.status_code, created.json()) == (200, {"acknowledged": True})
    assert created.headers["x-elastic-product"] == "Elasticsearch"
