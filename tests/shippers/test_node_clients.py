"""Elasticsearch's Node.js clients and pino-elasticsearch send events to a running server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.processes import TIMEOUT_SECONDS
from tests.shippers.conftest import Deckwatch, EventSample, environment_without_proxy
from tests.shippers.installed import HERE, node_modules


def send(client: str, deckwatch: Deckwatch, sent: EventSample, folder: Path) -> dict[str, Any]:
    """Send the events with `client`; return the counts and rejected events that the client reports."""
    ended = subprocess.run(
        ["node", HERE / "clients.cjs", client, deckwatch.url, sent.key, sent.file(folder)],
        env=environment_without_proxy() | {"NODE_PATH": str(node_modules())},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


@pytest.mark.parametrize(
    "client",
    ["elasticsearch8", "elasticsearch9", "pino", "elasticsearch8-index", "elasticsearch9-index"],
)
def test_a_client_for_node_sends_everything_once_and_drops_the_bad_ones_alone(
    deckwatch: Deckwatch, tmp_path: Path, client: str
) -> None:
    sent = deckwatch.new_sample(f"node-{client}")
    told = send(client, deckwatch, sent, tmp_path)
    assert (told["successful"], told["failed"]) == (
        len(sent.events) - sent.invalid_count,
        sent.invalid_count,
    )
    assert told["retried"] == 0
    assert [status for status, _ in told["dropped"]] == [400] * sent.invalid_count
    sent.wait_for_arrival()
