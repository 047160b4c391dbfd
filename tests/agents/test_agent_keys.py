"""How an agent presents its key."""

import base64
from collections.abc import Callable

import pytest

from tests.conftest import AgentClient
from tests.factories import exec_event

KEYS: dict[str, Callable[[str], str]] = {
    "bearer": lambda key: f"Bearer {key}",
    "ApiKey alone": lambda key: f"ApiKey {key}",
    "ApiKey as Elasticsearch encodes it": lambda key: (
        "ApiKey " + base64.b64encode(f"some-id:{key}".encode()).decode()
    ),
    "basic": lambda key: "Basic " + base64.b64encode(f"anyone:{key}".encode()).decode(),
    "lower case scheme": lambda key: f"bearer {key}",
}


WRONG_KEYS = {
    "no key": "Bearer",
    "another key": "Bearer dw_" + "x" * 43,
    "a key cut short": "Bearer {key}",
    "broken base64": "ApiKey !!!",
    "base64 without a colon": "Basic " + base64.b64encode(b"nothing").decode(),
    "an unknown scheme": "Digest x",
    "bytes": "Bearer \xff\xfe",
}


@pytest.mark.parametrize("dress", KEYS.values(), ids=KEYS.keys())
def test_a_key_may_be_presented_in_three_ways(
    agent: AgentClient, dress: Callable[[str], str]
) -> None:
    answer = agent.send(exec_event(), Authorization=dress(agent.key))
    assert answer.status_code == 200


@pytest.mark.parametrize("header", WRONG_KEYS.values(), ids=WRONG_KEYS.keys())
def test_a_wrong_key_is_told_how_to_present_one(agent: AgentClient, header: str) -> None:
    header = header.format(key=agent.key[:-1])
    answer = agent.client.post(
        "/api/v1/events", json={}, headers={b"Authorization": header.encode("latin-1")}
    )
    assert answer.status_code == 401
    assert "Bearer" in answer.headers["www-authenticate"]
    assert answer.json()["detail"].startswith("An API key is required")
