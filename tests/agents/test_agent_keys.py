"""Authentication of agents: the accepted forms of the Authorization header, and wrong keys."""

import base64
from collections.abc import Callable

import pytest

from tests.conftest import AgentClient
from tests.factories import exec_event

HEADERS: dict[str, Callable[[str], str]] = {
    "bearer": lambda key: f"Bearer {key}",
    "ApiKey alone": lambda key: f"ApiKey {key}",
    "ApiKey as Elasticsearch encodes it": lambda key: (
        "ApiKey " + base64.b64encode(f"some-id:{key}".encode()).decode()
    ),
    "basic": lambda key: "Basic " + base64.b64encode(f"anyone:{key}".encode()).decode(),
    "lower case scheme": lambda key: f"bearer {key}",
}

WRONG_HEADERS = {
    "no key": "Bearer",
    "another key": "Bearer dw_" + "x" * 43,
    "a truncated key": "Bearer {key}",
    "broken base64": "ApiKey !!!",
    "base64 without a colon": "Basic " + base64.b64encode(b"nothing").decode(),
    "an unknown scheme": "Digest x",
    "bytes": "Bearer \xff\xfe",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_a_key_is_accepted_in_each_form_of_the_header(
    agent: AgentClient, header: Callable[[str], str]
) -> None:
    response = agent.send(exec_event(), Authorization=header(agent.key))
    assert response.status_code == 200


@pytest.mark.parametrize("header", WRONG_HEADERS.values(), ids=WRONG_HEADERS.keys())
def test_a_wrong_key_gets_401_with_the_accepted_schemes(agent: AgentClient, header: str) -> None:
    header = header.format(key=agent.key[:-1])
    response = agent.client.post(
        "/api/v1/events", json={}, headers={b"Authorization": header.encode("latin-1")}
    )
    assert response.status_code == 401
    assert "Bearer" in response.headers["www-authenticate"]
    assert response.json()["detail"].startswith("An API key is required")
