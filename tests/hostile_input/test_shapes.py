"""Events with values of unexpected type, shape or size: each is accepted and can be shown, or is rejected."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import col, func, select

from app.store.database import Database
from app.store.tables import Match
from tests.conftest import AgentClient
from tests.factories import exec_event
from tests.hostile_input.conftest import HostileApp

# Values of the wrong type, shape or size. Each test sends one such event between two valid events.
HUGE = 10**400


SHAPES: dict[str, Callable[[], dict[str, Any]]] = {
    "process is a text": lambda: exec_event() | {"process": "ssh"},
    "process is a number": lambda: exec_event() | {"process": 17},
    "process is a list": lambda: exec_event() | {"process": [exec_event()["process"]]},
    "process is a list of lists": lambda: exec_event() | {"process": [[[exec_event()["process"]]]]},
    "container is a list": lambda: exec_event() | {"container": [{"id": "a"}, {"id": ["b"]}, 7]},
    "container is a text": lambda: exec_event() | {"container": "web"},
    "container is null": lambda: exec_event() | {"container": None},
    "host is a list": lambda: exec_event() | {"host": [{"name": "a", "os": {"type": "linux"}}]},
    "host name is a list": lambda: (
        exec_event() | {"host": {"name": ["a", ["b"], None, 7], "os": {"type": "linux"}}}
    ),
    "user is a number": lambda: exec_event() | {"user": 0},
    "user id is huge": lambda: exec_event() | {"user": {"id": HUGE}},
    "event id is huge": lambda: exec_event() | {"event": exec_event()["event"] | {"id": HUGE}},
    "event id is a list": lambda: exec_event() | {"event": exec_event()["event"] | {"id": [1, 2]}},
    "event id is an object": lambda: (
        exec_event() | {"event": exec_event()["event"] | {"id": {"a": 1}}}
    ),
    "event id is empty": lambda: exec_event(event_id="") | {"event": exec_event()["event"]},
    "labels are a list": lambda: (
        exec_event() | {"container": {"id": "a", "labels": ["x", {"y": 1}]}}
    ),
    "labels are deep": lambda: exec_event() | {"container": {"id": "a", "labels": nested(80)}},
    "labels are many": lambda: (
        exec_event() | {"container": {"id": "a", "labels": {f"k{n}": "v" for n in range(10_000)}}}
    ),
    "labels are dotted": lambda: exec_event() | {"container.labels.app.kubernetes.io/name": "x"},
    "the time is far ahead": lambda: at("9999-12-31T23:59:59.999999999+14:00"),
    "the time is beyond the calendar": lambda: at("9999-12-31T23:59:59-14:00"),
    "the time is before the calendar": lambda: at("0001-01-01T00:00:00+14:00"),
    "the time is in the past": lambda: at("0001-01-01T00:00:00Z"),
    "the time is a negative number": lambda: at(-62_135_596_800_000),
    "the time is a huge number": lambda: at(HUGE),
    "the time is a fraction": lambda: at(1e30),
    "the time is a list": lambda: at(["x", "y"]),
    "the time is Arabic": lambda: at("٢٠٢٦-١١-٢٤T١٢:٠٠:٠٠Z"),
    "the time is a flag": lambda: at(True),
}


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"a": 1}
    for _ in range(depth):
        inner = {"a": inner}
    return inner


def at(moment: object) -> dict[str, Any]:
    return exec_event() | {"@timestamp": moment}


def with_process(**more: Any) -> Callable[[], dict[str, Any]]:
    def made() -> dict[str, Any]:
        event = exec_event()
        event["process"] |= more
        return event

    return made


SHAPES |= {
    "pid is huge": with_process(pid=HUGE),
    "pid is beyond 64 bits": with_process(pid=2**64),
    "pid is negative": with_process(pid=-(2**63) - 1),
    "pid is a fraction": with_process(pid=1.5),
    "pid is a text": with_process(pid="١٢"),
    "pid is a long text": with_process(pid="9" * 5_000),
    "args are a text": with_process(args="ssh -N -R 1:h:2 host"),
    "args are numbers": with_process(args=["ssh", "-p", 22, HUGE, 1.5, True, None]),
    "args are objects": with_process(args=["ssh", {"a": "b"}, [["host"]]]),
    "args are empty": with_process(args=[]),
    "args are empty texts": with_process(args=["", "", ""]),
    "args are many": with_process(args=["ssh", *["-v"] * 20_000, "host"]),
    "args are many forwards": with_process(
        args=["ssh", *[w for n in range(5_000) for w in ("-L", f"{n + 1}:h:22")], "host"]
    ),
    "args are many keys": with_process(
        args=["ssh", *[w for n in range(5_000) for w in ("-i", f"/key{n}")], "host"]
    ),
    "only a command line": with_process(args=None, command_line="ssh 'unclosed"),
    "a command line of quotes": with_process(args=None, command_line="ssh " + "'\"" * 50_000),
    "the name is a list": with_process(name=["ssh", "sshd", 7]),
    "the parent is a list": with_process(parent=[{"name": "a"}, {"name": "b"}]),
    "the parent is a text": with_process(parent="bash"),
    "interactive is a text": with_process(interactive="yes"),
}


RAW: dict[str, bytes] = {
    "an exponent out of range": b'"pid":1e999',
    "the same key again": b'"pid":1,"pid":"x","pid":[2]',
    "five thousand digits": b'"pid":' + b"7" * 5_000,
    "an escaped key": b'"\\u0070id":5',
    "a lone surrogate in a key": b'"\\ud800":5',
    "NUL in a key": b'"\\u0000":5',
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_an_event_of_any_shape_is_taken_and_can_be_looked_at(
    hostile_app: HostileApp, shape: Callable[[], dict[str, Any]]
) -> None:
    database: Database = hostile_app.app.state.services.database
    with database.read() as session:
        before = session.exec(select(func.max(Match.id))).one() or 0
    receipt = hostile_app.send(exec_event(), shape(), exec_event())
    assert receipt["received"] == 3
    assert receipt["matched"] + len(receipt["rejected"]) >= 2
    with database.read() as session:
        found = set(session.exec(select(Match.alert_id).where(col(Match.id) > before)))
    for one in found:
        assert len(hostile_app.check_page(f"/alerts/{one}")) < 1_000_000
        hostile_app.check_page(f"/exclusions/new?alert={one}")
    hostile_app.check_page("/alerts")


@pytest.mark.parametrize("inside", RAW.values(), ids=RAW.keys())
def test_odd_json_is_taken_or_named_and_its_neighbours_count(
    agent: AgentClient, inside: bytes
) -> None:
    odd = (
        json.dumps(exec_event()).encode().replace(b'"process": {', b'"process": {' + inside + b",")
    )
    before, after = (json.dumps(exec_event()).encode() for _ in range(2))
    receipt = agent.send_events(b"\n".join((before, odd, after)))
    assert receipt["received"] == 3
    assert receipt["matched"] + len(receipt["rejected"]) == 3
