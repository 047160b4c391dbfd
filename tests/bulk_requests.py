"""Helpers that build requests to `/elastic/_bulk` and read its responses."""

import json
from typing import Any

from tests.conftest import AgentClient

CREATE = b'{"create":{"_index":"logs"}}'
NOT_AN_EVENT = b'{"no":"event"}'
# Items as `item_statuses` returns them. The item of a line that is not an action has the action `index`.
CREATED, REJECTED = ("create", 201), ("create", 400)
STRAY_CREATED, STRAY_REJECTED = ("index", 201), ("index", 400)


def json_line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def ndjson(*values: object) -> bytes:
    """Return one line per value. A value of type bytes is used unchanged; any other value becomes JSON."""
    return b"".join(
        (value if isinstance(value, bytes) else json_line(value)) + b"\n" for value in values
    )


def bulk(agent: AgentClient, body: bytes, path: str = "/elastic/_bulk", **headers: str) -> Any:
    all_headers = {
        "Authorization": f"ApiKey {agent.key}",
        "Content-Type": "application/x-ndjson",
        **headers,
    }
    return agent.client.post(path, content=body, headers=all_headers)


def item_statuses(response: Any) -> list[tuple[str, int]]:
    """Return the action and the status of each item of a response."""
    assert response.status_code == 200, response.text
    body = response.json()
    statuses = [
        (action, item["status"]) for entry in body["items"] for action, item in entry.items()
    ]
    assert body["errors"] is any(status >= 300 for _, status in statuses)
    return statuses
