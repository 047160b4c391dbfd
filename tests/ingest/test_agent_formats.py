"""Falco's, Tetragon's and Tracee's events through the front door: alerts, their pages, hostile values."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import func, select
from starlette.testclient import TestClient

from app.actions import api_keys
from app.bootstrap import open_migrated_database
from app.domain.principal import CLI_PRINCIPAL, Role
from app.formats import MARKER_KEYS
from app.main import create_app
from app.settings import read_settings
from app.store.database import Database
from app.store.tables import Alert, Match, QuarantinedEvent
from tests.agent_events import (
    CONTAINER_ID,
    falco,
    tetragon,
    tracee,
    tracee_v1beta1,
)
from tests.conftest import ORIGIN, AgentClient, FakeClock, UserClient
from tests.explain.test_explain import visible_text
from tests.factories import exec_event
from tests.processes import run

AGENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "falco": falco,
    "tetragon": tetragon,
    "tracee": tracee,
    "tracee, structured": tracee_v1beta1,
}
ON_THE_PAGE: dict[str, tuple[str, ...]] = {
    "falco": (CONTAINER_ID[:12], "web-5c6b", "nginx (101)", "bash -i", "pid 41"),
    "tetragon": (CONTAINER_ID, "web", "101", "/bin/bash -c", "pid 41"),
    "tracee": (CONTAINER_ID, "web", "101", "pid 41"),
    "tracee, structured": (CONTAINER_ID, "web", "101", "pid 41"),
}


def alerts_of(database: Database) -> list[Alert]:
    with database.read() as session:
        return list(session.exec(select(Alert)))


@pytest.mark.parametrize("name", AGENTS)
def test_an_in_container_ssh_raises_the_alert_that_tells_where_it_ran(
    agent: AgentClient, analyst: UserClient, database: Database, name: str
) -> None:
    raw = json.dumps(AGENTS[name]()).encode()
    receipt = agent.send_events(raw)
    assert (receipt["received"], receipt["matched"], receipt["rejected"]) == (1, 1, [])
    (alert,) = alerts_of(database)
    assert alert.rule_name == "SSH launched inside a container, identified by container ID"
    assert alert.headline == "ssh to 10.42.3.17:2222 as deploy"
    page = analyst.get(f"/alerts/{alert.id}").text
    everywhere = (
        "registry.example:5000/shop/web:9.1", "prod", "web-5c6b-x7k2p", "deploy@10.42.3.17",
        "uptime", "2222",
    )  # fmt: skip
    for expected in (*everywhere, *ON_THE_PAGE[name]):
        assert expected in page, expected
    with database.read() as session:
        (match,) = session.exec(select(Match))
    assert match.event == raw


@pytest.mark.parametrize("name", AGENTS)
def test_the_same_bytes_again_change_nothing(agent: AgentClient, name: str) -> None:
    event = AGENTS[name]()
    assert agent.send_events([event, event])["duplicates"] == 1
    assert agent.send_events(event)["duplicates"] == 1


OUTSIDE: dict[str, dict[str, Any]] = {
    "falco": falco(container__id="host"),
    "tetragon": tetragon(without=("pod", "docker")),
    "tracee": tracee(containerId="", container={}),
    "running before Tetragon": tetragon(flags="procFS auid"),
    "the end of a process": {"process_exit": tetragon()["process_exec"]},
    "a kprobe": {"process_kprobe": tetragon()["process_exec"]},
    "execve in the container runtime": tracee(eventName="execve"),
    "a connection": falco(evt__type="connect"),
    "an audit log": falco() | {"source": "k8s_audit", "output_fields": {"ka.verb": "get"}},
}


@pytest.mark.parametrize("event", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_what_is_no_start_in_a_container_is_received_and_matches_nothing(
    agent: AgentClient, event: dict[str, Any]
) -> None:
    receipt = agent.send_events(event)
    assert (receipt["received"], receipt["matched"], receipt["rejected"]) == (1, 0, [])


LACKING: dict[str, tuple[dict[str, Any], str]] = {
    "falco": (falco(without=("proc__name", "proc__exepath", "proc__cmdline")), "no proc.name"),
    "tetragon": (tetragon(without=("binary",)), "process.binary"),
    "tracee": (tracee(without=("processName", "args")), "processName"),
}


@pytest.mark.parametrize(("event", "missing"), LACKING.values(), ids=LACKING.keys())
def test_what_lacks_its_process_is_kept_in_quarantine_with_what_is_missing(
    agent: AgentClient, database: Database, event: dict[str, Any], missing: str
) -> None:
    receipt = agent.send_events([exec_event(), event, exec_event()])
    assert receipt["matched"] == 2
    (rejected,) = receipt["rejected"]
    assert missing in rejected["error"]
    with database.read() as session:
        (kept,) = session.exec(select(QuarantinedEvent))
    assert json.loads(kept.event) == event
    assert kept.reason == rejected["error"]


@pytest.mark.parametrize("name", AGENTS)
def test_a_line_that_a_shipper_did_not_decode_is_not_taken_for_an_event_without_meaning(
    agent: AgentClient, name: str
) -> None:
    shipped = {
        "@timestamp": "2026-11-24T12:00:09Z",
        "ecs": {"version": "8.0.0"},
        "agent": {"type": "filebeat"},
        "message": json.dumps(AGENTS[name]()),
    }
    assert agent.send_events(shipped)["matched"] == 1


def test_all_agents_may_share_one_request(agent: AgentClient) -> None:
    events = [exec_event(), *(made() for made in AGENTS.values())]
    assert agent.send_events("\n".join(map(json.dumps, events)).encode())["matched"] == 5


# Written into every text of each event in turn.
HOSTILE = {
    "a lone surrogate": "\udcff",
    "NUL": "\0",
    "a change of direction": "\u202e",
    "an escape": "\x1b[2J",
    "lines": "a\nb\r\nc",
    "markup": "<script>alert(1)</script>",
    "quotes": "\"'`$(id)",
}


def poisoned(tree: Any, poison: str) -> Any:
    """`tree` with `poison` behind each of its texts that an attacker may choose."""
    if isinstance(tree, dict):
        kept = ("evt.type", "proc.name", "flags", "binary", "eventName", "name", "processName")
        return {k: v if k in kept else poisoned(v, poison) for k, v in tree.items()}
    if isinstance(tree, list):
        return [poisoned(one, poison) for one in tree]
    return tree + poison if isinstance(tree, str) else tree


@pytest.mark.parametrize("poison", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_values_neither_lose_the_event_nor_reach_a_page_unescaped(
    agent: AgentClient, analyst: UserClient, database: Database, poison: str
) -> None:
    events = [poisoned(made(), poison) for made in (falco, tetragon, tracee, tracee_v1beta1)]
    receipt = agent.send_events(events)
    assert (receipt["matched"], receipt["rejected"]) == (4, [])
    for alert in alerts_of(database):
        page = analyst.get(f"/alerts/{alert.id}")
        assert page.status_code == 200
        for forbidden in ("\0", "\u202e", "\x1b", "<script>alert"):
            assert forbidden not in page.text


def test_an_event_is_explained_as_it_was_understood(analyst: UserClient, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(json.dumps(made()) for made in AGENTS.values()))
    told = run(tmp_path, "explain", str(file)).stdout
    assert told.count(
        "SSH launched inside a container, identified by container ID: matches"
    ) == len(AGENTS)
    page = analyst.post("/explain", {"event": json.dumps(falco()), "rule": "all"}).text
    assert 'holds container.id like "?*"' in visible_text(page)


# ---- anything with a marker ----

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner: list[tuple[Any, Any]] = []
    if isinstance(tree, dict):
        inner = list(tree.items())
    elif isinstance(tree, list):
        inner = list(enumerate(tree))
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def changed_events(draw: st.DrawFn) -> dict[str, Any]:
    """A real event with something else in some of its places."""
    event: dict[str, Any] = copy.deepcopy(draw(st.sampled_from([*AGENTS.values()]))())
    for path in draw(st.lists(st.sampled_from(list(places(event))), min_size=1, max_size=4)):
        node: Any = event
        for key in path[:-1]:
            node = node[key] if _holds(node, key) else None
        if _holds(node, path[-1]):
            node[path[-1]] = draw(json_values)
    return event


def _holds(node: Any, key: Any) -> bool:
    if isinstance(node, list):
        return isinstance(key, int) and key < len(node)
    return isinstance(node, dict) and key in node


marked = st.builds(
    lambda marker, value, more: more | {marker: value},
    st.sampled_from([*MARKER_KEYS, "process_exit", "process_kprobe", "message", "log"]),
    json_values,
    st.dictionaries(st.sampled_from([*MARKER_KEYS, "name", "data", "args", "rule"]), json_values),
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AgentClient, Database]]:
    """One application for many small requests."""
    at = FakeClock()
    path = tmp_path_factory.mktemp("formats") / "deckwatch.db"
    configured = read_settings(database_url=f"sqlite:///{path}", secret_key="s" * 40)
    database = open_migrated_database(configured, on_migrated=lambda _: None)
    key = api_keys.create(database, "fleet", Role.AGENT, principal=CLI_PRINCIPAL, at=at())[1]
    with TestClient(create_app(configured, clock=at), base_url=ORIGIN) as client:
        yield AgentClient(client, key), database
    database.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(marked | changed_events(), min_size=1, max_size=4))
def test_any_object_with_a_marker_is_taken_or_named_and_its_neighbours_count(
    fleet: tuple[AgentClient, Database], events: list[dict[str, Any]]
) -> None:
    agent, database = fleet
    neighbours = [exec_event(), exec_event()]
    with database.read() as session:
        before = session.exec(select(func.count()).select_from(QuarantinedEvent)).one()
    receipt = agent.send_events([neighbours[0], *events, neighbours[1]])
    assert receipt["received"] == len(events) + 2
    refused = receipt["rejected"]
    assert all(one["error"] and 1 <= one["index"] <= len(events) for one in refused)
    with database.read() as session:
        after = session.exec(select(func.count()).select_from(QuarantinedEvent)).one()
        stored = session.exec(
            select(func.count())
            .select_from(Match)
            .where(Match.event_id.in_([one["event"]["id"] for one in neighbours]))  # type: ignore[attr-defined]
        ).one()
    assert (after - before, stored) == (len(refused), 2)
