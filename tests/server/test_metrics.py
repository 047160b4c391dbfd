"""GET /metrics: counters, gauges and labels, with one process and with several."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app import __version__
from tests.conftest import AgentClient, FakeClock, UserClient
from tests.factories import benign_event, exec_event
from tests.processes import COMMAND, ServerProcess, run, running_server

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse_metrics(text: str) -> Samples:
    """Return every sample by its name and labels, each of which must be unique."""
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series = sample.name, frozenset(sample.labels.items())
            assert series not in samples
            samples[series] = sample.value
    return samples


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get(("deckwatch_" + name, frozenset(labels.items())), 0.0)


@pytest.fixture
def scrape(anonymous: TestClient) -> Any:
    def fetch() -> Samples:
        response = anonymous.get("/metrics")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/plain; version=")
        return parse_metrics(response.text)

    return fetch


def test_events_matches_and_duplicates_are_counted_as_in_the_receipts(
    agent: AgentClient, scrape: Any
) -> None:
    ssh = exec_event()
    receipts = [
        agent.send_events([ssh, benign_event()]),
        agent.send_events(ssh),
        agent.send_events(benign_event()),
    ]
    now = scrape()
    assert (
        value(now, "events_received_total") == sum(receipt["received"] for receipt in receipts) == 4
    )
    assert value(now, "matches_total") == sum(receipt["matched"] for receipt in receipts) == 1
    assert value(now, "matches_duplicate_total") == 1
    assert value(now, "commit_seconds_count") >= 2
    assert value(now, "writer_queue_batches") == 0


def test_matches_covered_by_an_exclusion_are_counted_as_suppressed(
    agent: AgentClient, admin: UserClient, scrape: Any
) -> None:
    agent.send_events(exec_event())
    alert = admin.get("/api/v1/alerts").json()["alerts"][0]
    response = admin.client.post(
        "/api/v1/exclusions",
        json={
            "rule_id": alert["rule_id"],
            "conditions": [
                {"field": "container.image.name", "operator": "is", "values": ["shop/web"]},
                {"field": "process.name", "operator": "is", "values": ["ssh"]},
            ],
            "reason": "deploys",
            "owner": "ada",
            "ends_at": "2026-12-24T12:00:00Z",
        },
        headers={"X-CSRF-Token": admin.csrf_token()},
    )
    assert response.status_code == 201, response.text
    assert agent.send_events(exec_event())["suppressed"] == 1
    now = scrape()
    assert value(now, "matches_suppressed_total") == 1
    assert value(now, "matches_total") == 2


def test_rejections_are_counted_by_kind_and_no_label_quotes_an_event(
    agent: AgentClient, scrape: Any
) -> None:
    broken = {
        b'{"a": }': "not_json",
        b'{"x":"\xff"}': "not_utf8",
        b"7": "not_an_object",
        b'{"evil-label": 1}': "unknown_format",
        b'{"_source": {"evil": 1}}': "unknown_format",
        b'{"rule": "evil", "output": "x", "priority": "y"}': "incomplete",
        b"[" * 3000 + b"]" * 3000: "too_deep",
    }
    assert len(agent.send_events(b"\n".join([b"{}", *broken]))["rejected"]) == len(broken) + 1
    now = scrape()
    kinds = {dict(labels)["reason"]: n for (name, labels), n in now.items() if "rejected_t" in name}
    assert {kind: n for kind, n in kinds.items() if n} == Counter(
        [*broken.values(), "unknown_format"]
    )
    assert not any("evil" in str(series) for series in now)


def test_requests_are_timed_by_route_and_status_class_and_not_by_path(
    anonymous: TestClient, scrape: Any
) -> None:
    for path in ("/setup/one-secret", "/setup/another-secret", "/no/such/page", "/static/none.css"):
        assert anonymous.get(path).status_code == 404
    text = anonymous.get("/metrics").text
    now = parse_metrics(text)
    assert value(now, "request_seconds_count", route="/setup/{token}", status="4xx") == 2
    assert value(now, "request_seconds_count", route="unmatched", status="4xx") == 1
    assert value(now, "request_seconds_count", route="/static/", status="4xx") == 1
    assert "secret" not in text
    assert "such" not in text


def test_open_alerts_are_counted_by_severity_and_decrease_when_an_alert_is_closed(
    agent: AgentClient, admin: UserClient, clock: FakeClock, scrape: Any
) -> None:
    agent.send_events(exec_event())
    agent.send_events(exec_event(host="node-12"))
    severity = admin.get("/api/v1/alerts/1").json()["severity"]
    assert value(scrape(), "open_alerts", severity=severity) == 2
    change = {"status": "closed", "verdict": "false positive", "reason": "a test"}
    headers = {"X-CSRF-Token": admin.csrf_token()}
    response = admin.client.patch("/api/v1/alerts/1", json=change, headers=headers)
    assert response.status_code == 200, response.text
    clock.advance(seconds=5)  # until then the count is cached
    now = scrape()
    assert value(now, "open_alerts", severity=severity) == 1
    assert value(now, "build_info", version=__version__) == 1
    assert value(now, "database_readable") == 1
    assert value(now, "database_bytes") >= value(now, "database_used_bytes") > 0


def test_metrics_contain_no_name_of_a_key_host_or_user(
    agent: AgentClient, anonymous: TestClient
) -> None:
    agent.send_events(exec_event(host="secret-host", user="secret-user"))
    text = anonymous.get("/metrics").text
    for word in ("secret-", "fleet", "shop/web", agent.key[-4:]):
        assert word not in text


def test_every_worker_process_reports_the_sums_of_all(tmp_path: Path) -> None:
    key = run(tmp_path, "key", "create", "fleet", "--role", "agent").stdout.strip()
    (tmp_path / "tmp").mkdir()
    command = (*COMMAND, "serve", "--port", "0", "--workers", "2")
    with running_server(tmp_path, command, temp_dir=tmp_path / "tmp") as server:
        sent = 0
        while len(_pids(tmp_path)) < 2 or sent < 20:
            # Each request uses a new connection, so that both workers get some.
            assert server.send(key, exec_event(), benign_event())[0] == 200
            sent += 1
        for _ in range(10):
            now = parse_metrics(_metrics(server))
            assert value(now, "events_received_total") == 2 * sent
            assert value(now, "matches_total") == sent
            requests = value(now, "request_seconds_count", route="/api/v1/events", status="2xx")
            assert requests == sent
        assert server.stop() == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def _pids(folder: Path) -> set[str]:
    """Return the process ids of the running workers."""
    files = (folder / "tmp").glob("deckwatch-metrics-*/counter_*.db")
    return {file.stem.partition("_")[2] for file in files}


def _metrics(server: ServerProcess) -> str:
    status, _, text = server.request("GET", "/metrics")
    assert status == 200
    return text.decode()


def test_each_event_of_a_compressed_body_is_counted(agent: AgentClient, scrape: Any) -> None:
    body = gzip.compress(b"\n".join(json.dumps(benign_event()).encode() for _ in range(30)))
    agent.send_events(body, **{"Content-Encoding": "gzip"})
    assert value(scrape(), "events_received_total") == 30
