"""Bulk bodies, and how they are sent and answered."""

import json
from typing import Any

from tests.conftest import AgentClient

CREATE = b'{"create":{"_index":"logs"}}'
NOT_AN_EVENT = b'{"no":"event"}'
# Items as `items` gives them. What stands where an action should be is answered as if by `index`.
CREATED, REJECTED = ("create", 201), ("create", 400)
STRAY_CREATED, STRAY_REJECTED = ("index", 201), ("index", 400)


def json_line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def ndjson(*values: object) -> bytes:
    """NDJSON; bytes stand for themselves."""
    return b"".join(
        one if isinstance(one, bytes) else json_line(one) for one in _with_newlines(values)
    )


def _with_newlines(values: tuple[object, ...]) -> list[object]:
    return [part for value in values for part in (value, b"\n")]


def bulk(agent: AgentClient, body: bytes, path: str = "/elastic/_bulk", **headers: str) -> Any:
    sent = {
        "Authorization": f"ApiKey {agent.key}",
        "Content-Type": "application/x-ndjson",
        **headers,
    }
    return agent.client.post(path, content=body, headers=sent)


def item_statuses(answer: Any) -> list[tuple[str, int]]:
    """The verb and the status of each item."""
    assert answer.status_code == 200, answer.text
    told = answer.json()
    found = [(verb, item["status"]) for one in told["items"] for verb, item in one.items()]
    assert told["errors"] is any(status >= 300 for _, status in found)
    return found
