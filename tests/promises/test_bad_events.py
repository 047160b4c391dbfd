"""Promise 3: an invalid event never blocks a valid one. Promise 4: sending an event again changes nothing."""

import json
import random
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from app.store.database import Database
from app.store.tables import Match
from tests.conftest import AgentClient
from tests.factories import exec_event
from tests.processes import running_server, wait_until
from tests.promises.ground import FULL_RUN, is_consistent, open_database, report, stored_event_ids
from tests.quarantined import count_quarantined

BATCHES = 1_000 if FULL_RUN else 60
REPEATED = 300 if FULL_RUN else 30

BAD = (
    b'{"event":{"category":',
    b'{"event":{"kind":"event"},"x":NaN}',
    b'{"event":{"category":["process"]},"x":"\xff\xfe"}',
    b"17",
    b'"ssh"',
    b"null",
    b'{"output":"ssh"}',
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b"ssh -p 22 root@192.0.2.7",
    b"}{",
    b"\x00\x01\x02",
)


def batch(chance: random.Random, number: int) -> tuple[list[bytes], list[str], list[bytes]]:
    """Return shuffled lines, the ids of the matching events, and the invalid lines (1 to 50 % of all)."""
    size = chance.randrange(10, 60)
    bad = [chance.choice(BAD) for _ in range(max(1, size * chance.randrange(1, 51) // 100))]
    names = [f"good-{number}-{count}" for count in range(size - len(bad))]
    good = [json.dumps(exec_event(event_id=name)).encode() for name in names]
    lines = [*good, *bad]
    chance.shuffle(lines)
    return lines, names, bad


def test_a_bad_event_never_blocks_a_good_one(
    agent: AgentClient, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(3)  # noqa: S311 (test data, no secret)
    good: set[str] = set()
    refused: Counter[bytes] = Counter()
    for number in range(BATCHES):
        lines, names, bad = batch(chance, number)
        receipt = agent.send_events(b"\n".join(lines))
        assert (receipt["received"], receipt["matched"]) == (len(lines), len(names))
        assert [lines[one["index"]] for one in receipt["rejected"]] == [
            line for line in lines if line in BAD
        ]
        good.update(names)
        refused.update(bad)
    with database.read() as session:
        assert set(session.exec(select(Match.event_id))) == good
    assert count_quarantined(database) == refused
    report(
        capsys,
        3,
        f"{BATCHES:,} batches, {len(good):,} good events stored, {refused.total():,} bad ones kept "
        "in quarantine byte for byte, no other answer than 200",
    )


def send_and_hang_up(port: int, key: str, body: bytes) -> None:
    """Send a request and hang up without reading the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
        caller.sendall(
            b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            + key.encode()
            + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
            + body
        )


def test_sending_again_changes_nothing(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(4)  # noqa: S311 (test data, no secret)
    batches: list[list[dict[str, Any]]] = [
        [
            exec_event(host=f"host-{number % 7}", event_id=f"again-{number}-{count}")
            for count in range(chance.randrange(1, 20))
        ]
        for number in range(REPEATED)
    ]
    wanted = {event["event"]["id"] for events in batches for event in events}
    sendings = [number for number in range(REPEATED) for _ in range(chance.randrange(1, 6))]
    chance.shuffle(sendings)
    cut = matched = duplicates = 0
    with running_server(tmp_path) as server:
        for number in sendings:
            events = batches[number]
            if chance.random() < 0.3:
                cut += 1
                send_and_hang_up(server.port, key, "\n".join(map(json.dumps, events)).encode())
                continue
            status, _, told = server.send(key, *events)
            assert (status, told["matched"] + told["duplicates"]) == (200, len(events))
            matched += told["matched"]
            duplicates += told["duplicates"]
        # The server may not have read a request whose sender hung up, so each batch is sent once more.
        for events in batches:
            assert server.send(key, *events)[0] == 200
        wait_until(lambda: stored_event_ids(tmp_path) == wanted, "all is stored")
        assert server.stop() == 0
    with open_database(tmp_path) as connection:
        rows = connection.execute("SELECT count(*) FROM rule_match").fetchone()[0]
        of_alert = dict(connection.execute("SELECT host, match_count FROM alert"))
    oracle = Counter(event["host"]["name"] for events in batches for event in events)
    report(
        capsys,
        4,
        f"{len(sendings):,} sendings of {REPEATED} batches, {cut} answers cut off, {duplicates:,} "
        f"duplicates told, {rows:,} matches stored of {len(wanted):,}",
    )
    assert rows == len(wanted)
    assert of_alert == dict(oracle)
    assert is_consistent(tmp_path)
