"""Whatever the application is asked, it answers as its OpenAPI document says."""

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
"""Of each operation and role, beside those that cover its document; `make torture` asks for more."""

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
FOR_AGENTS = "^/(api/v1/events|elastic/)"
STREAM = "/api/v1/stream"

# Checks that an operation must fail, though what it answers is no mistake.
EXEMPT: dict[tuple[str, str], list[CheckFunction]] = {
    # No schema can tell which persons, rules, fields and cursors there are, nor what time it is.
    ("GET", "/api/v1/alerts"): [positive_data_acceptance],
    ("PATCH", "/api/v1/alerts/{alert_id}"): [positive_data_acceptance],
    ("POST", "/api/v1/exclusions"): [positive_data_acceptance],
    ("PATCH", "/api/v1/exclusions/{exclusion_id}"): [positive_data_acceptance],
    # To other methods it is an exclusion that is called so, and there is none.
    ("POST", "/api/v1/exclusions/preview"): [positive_data_acceptance, unsupported_method],
    # What is no event is refused by itself, with 200 for its neighbours.
    ("POST", "/api/v1/events"): [negative_data_rejection],
    ("POST", "/elastic/_bulk"): [negative_data_rejection],
    ("PUT", "/elastic/_bulk"): [negative_data_rejection],
    ("POST", "/elastic/{index}/_bulk"): [negative_data_rejection],
    ("PUT", "/elastic/{index}/_bulk"): [negative_data_rejection],
}


@schemathesis.serializer("application/x-ndjson")
def as_it_is(context: schemathesis.SerializationContext, value: object) -> bytes:
    """A text is a body; what is none was made to be wrong."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return value if isinstance(value, bytes) else json.dumps(value, default=str).encode()


@dataclass(frozen=True)
class Served:
    """A server with an alert and an exclusion in it, each with the id 1."""

    server: ServerProcess
    keys: dict[str, str]

    def check(self, case: Case, role: str) -> None:
        operation = case.operation.method.upper(), case.operation.path
        case.call_and_validate(
            base_url=f"http://127.0.0.1:{self.server.port}",
            headers={"Authorization": f"Bearer {self.keys[role]}"},
            excluded_checks=EXEMPT.get(operation, []),
            # A stream has no end; what comes at once and when something changes is enough.
            timeout=0.1 if case.path == STREAM else TIMEOUT_SECONDS,
        )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
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
        yield Served(server, keys)


_few = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@DOCUMENT.include(path_regex=FOR_AGENTS).parametrize()
@_few
def test_an_agent_is_answered_as_documented(case: Case, served: Served) -> None:
    served.check(case, "agent")


@DOCUMENT.exclude(path_regex=FOR_AGENTS).parametrize()
@_few
def test_an_analyst_is_answered_as_documented(case: Case, served: Served) -> None:
    served.check(case, "analyst")


@DOCUMENT.exclude(path_regex=FOR_AGENTS).parametrize()
@_few
def test_an_admin_is_answered_as_documented(case: Case, served: Served) -> None:
    served.check(case, "admin")
