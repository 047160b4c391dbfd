"""Generated requests for every documented operation: responses conform to the OpenAPI document."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckFunction
from schemathesis.config import (
    GenerationConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)

from app.clock import utc_now
from app.main import ROUTERS
from app.web.api.openapi import build_document
from tests.factories import exec_event
from tests.processes import TIMEOUT_SECONDS, ServerProcess, run, running_server

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "5"))
"""Random requests per operation and role, besides the systematic ones; `make torture` sets more."""

Case = schemathesis.Case[Any]

DOCUMENT = schemathesis.openapi.from_dict(
    build_document(ROUTERS),
    config=SchemathesisConfig(
        projects=ProjectsConfig(
            default=ProjectConfig(
                max_stream_events=1,
                generation=GenerationConfig(deterministic=True, max_examples=EXAMPLES),
            )
        ),
    ),
)
AGENT_PATHS = "^/(api/v1/events|elastic/)"
STREAM = "/api/v1/stream"

# Checks that an operation fails although its responses are correct.
EXEMPT: dict[tuple[str, str], list[CheckFunction]] = {
    # Valid users, rules, fields, cursors and times depend on stored data and the clock, not on the schema.
    ("GET", "/api/v1/alerts"): [positive_data_acceptance],
    ("PATCH", "/api/v1/alerts/{alert_id}"): [positive_data_acceptance],
    ("POST", "/api/v1/exclusions"): [positive_data_acceptance],
    ("PATCH", "/api/v1/exclusions/{exclusion_id}"): [positive_data_acceptance],
    # For other methods "preview" is read as the id of an exclusion, which does not exist.
    ("POST", "/api/v1/exclusions/preview"): [positive_data_acceptance, unsupported_method],
    # The response is 200 with the rejected events listed, so that other events are accepted.
    ("POST", "/api/v1/events"): [negative_data_rejection],
    ("POST", "/elastic/_bulk"): [negative_data_rejection],
    ("PUT", "/elastic/_bulk"): [negative_data_rejection],
    ("POST", "/elastic/{index}/_bulk"): [negative_data_rejection],
    ("PUT", "/elastic/{index}/_bulk"): [negative_data_rejection],
    # An object is accepted only if it is an event of a known format. A rejected body that is sent again gets
    # 200, which ends the retries of its sender.
    **{
        (method, f"/elastic/{{index}}/{path}"): [negative_data_rejection, positive_data_acceptance]
        for method in ("POST", "PUT")
        for path in ("_doc", "_doc/{document_id}", "_create/{document_id}")
    },
}


@schemathesis.serializer("application/x-ndjson")
def serialize_ndjson(context: schemathesis.SerializationContext, value: object) -> bytes:
    """Send text unchanged; other values are deliberately invalid bodies."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return value if isinstance(value, bytes) else json.dumps(value, default=str).encode()


@dataclass(frozen=True)
class SeededServer:
    """A server with one alert and one exclusion, each with the id 1."""

    server: ServerProcess
    keys: dict[str, str]

    def check(self, case: Case, role: str) -> None:
        operation = case.operation.method.upper(), case.operation.path
        case.call_and_validate(
            base_url=f"http://127.0.0.1:{self.server.port}",
            headers={"Authorization": f"Bearer {self.keys[role]}"},
            excluded_checks=EXEMPT.get(operation, []),
            # An event stream does not end; its first bytes are enough.
            timeout=0.1 if case.path == STREAM else TIMEOUT_SECONDS,
        )


@pytest.fixture(scope="module")
def seeded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeededServer]:
    folder = tmp_path_factory.mktemp("openapi")
    assert run(folder, "db", "upgrade").returncode == 0
    keys = {
        role: run(folder, "key", "create", role, "--role", role).stdout.strip()
        for role in ("agent", "analyst", "admin")
    }
    with running_server(folder) as server:
        assert server.send(keys["agent"], exec_event())[2]["matched"] == 1
        headers = {
            "Authorization": f"Bearer {keys['analyst']}",
            "Content-Type": "application/json",
        }
        rule_id = json.loads(server.request("GET", "/api/v1/alerts/1", None, **headers)[2])[
            "rule_id"
        ]
        proposal = {
            "rule_id": rule_id,
            "conditions": [{"field": "host.name", "operator": "is", "values": ["elsewhere"]}],
            "reason": "known",
            "owner": "ops",
            "ends_at": (utc_now() + timedelta(days=30)).isoformat(),
        }
        body = json.dumps(proposal).encode()
        assert server.request("POST", "/api/v1/exclusions", body, **headers)[0] == 201
        yield SeededServer(server, keys)


_few_examples = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@DOCUMENT.include(path_regex=AGENT_PATHS).parametrize()
@_few_examples
def test_responses_to_an_agent_conform_to_the_document(
    case: Case, seeded_server: SeededServer
) -> None:
    seeded_server.check(case, "agent")


@DOCUMENT.exclude(path_regex=AGENT_PATHS).parametrize()
@_few_examples
def test_responses_to_an_analyst_conform_to_the_document(
    case: Case, seeded_server: SeededServer
) -> None:
    seeded_server.check(case, "analyst")


@DOCUMENT.exclude(path_regex=AGENT_PATHS).parametrize()
@_few_examples
def test_responses_to_an_admin_conform_to_the_document(
    case: Case, seeded_server: SeededServer
) -> None:
    seeded_server.check(case, "admin")
