"""Falco, Tetragon and Tracee events sent over HTTP: alerts, their pages, hostile values."""

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
from tests.quarantined import count_quarantined

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
def test_an_in_container_ssh_opens_an_alert_that_shows_where_it_ran(
    agent: AgentClient, analyst: UserClient, database: Database, name: str
) -> None:
    raw = json.dumps(AGENTS[name]()).encode()
    receipt = agent.send_events(raw)
    assert (receipt["received"], receipt["matched"], receipt["rejected"]) == (1, 1, [])
    (alert,) = alerts_of(database)
    assert alert.rule_name == "SSH launched inside a container, identified by container id"
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
def test_the_same_event_again_is_a_duplicate(agent: AgentClient, name: str) -> None:
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
def test_an_event_that_is_no_start_in_a_container_is_accepted_without_a_match(
    agent: AgentClient, event: dict[str, Any]
) -> None:
    receipt = agent.send_events(event)
    assert (receipt["received"], receipt["matched"], receipt["rejected"]) == (1, 0, [])


INCOMPLETE: dict[str, tuple[dict[str, Any], str]] = {
    "falco": (falco(without=("proc__name", "proc__exepath", "proc__cmdline")), "none of proc.name"),
    "tetragon": (tetragon(without=("binary",)), "process.binary"),
    "tracee": (tracee(without=("processName", "args")), "processName"),
}


@pytest.mark.parametrize(("event", "missing"), INCOMPLETE.values(), ids=INCOMPLETE.keys())
def test_an_event_without_its_process_is_quarantined_with_the_missing_field(
    agent: AgentClient, database: Database, event: dict[str, Any], missing: str
) -> None:
    receipt = agent.send_events([exec_event(), event, exec_event()])
    assert receipt["matched"] == 2
    (rejected,) = receipt["rejected"]
    assert missing in rejected["error"]
    with database.read() as session:
        (quarantined,) = session.exec(select(QuarantinedEvent))
    assert json.loads(quarantined.event) == event
    assert quarantined.reason == rejected["error"]


@pytest.mark.parametrize("name", AGENTS)
def test_an_event_that_a_shipper_put_undecoded_into_message_matches(
    agent: AgentClient, name: str
) -> None:
    shipped = {
        "@timestamp": "2026-11-24T12:00:09Z",
        "ecs": {"version": "8.0.0"},
        "agent": {"type": "filebeat"},
        "message": json.dumps(AGENTS[name]()),
    }
    assert agent.send_events(shipped)["matched"] == 1


def test_one_request_can_hold_events_of_all_agents(agent: AgentClient) -> None:
    events = [exec_event(), *(make_event() for make_event in AGENTS.values())]
    assert agent.send_events("\n".join(map(json.dumps, events)).encode())["matched"] == 5


# Appended to the texts of each event.
HOSTILE = {
    "a lone surrogate": "\udcff",
    "NUL": "\0",
    "a right-to-left override": "\u202e",
    "an escape sequence": "\x1b[2J",
    "line ends": "a\nb\r\nc",
    "markup": "<script>alert(1)</script>",
    "quotes": "\"'`$(id)",
}


def with_suffix(tree: Any, suffix: str) -> Any:
    """Return `tree` with `suffix` appended to each text that an attacker can choose."""
    if isinstance(tree, dict):
        unchanged = ("evt.type", "proc.name", "flags", "binary", "eventName", "name", "processName")
        return {k: v if k in unchanged else with_suffix(v, suffix) for k, v in tree.items()}
    if isinstance(tree, list):
        return [with_suffix(element, suffix) for element in tree]
    return tree + suffix if isinstance(tree, str) else tree


@pytest.mark.parametrize("suffix", HOSTILE.values(), ids=HOSTILE.keys())
def test_events_with_hostile_values_match_and_pages_escape_the_values(
    agent: AgentClient, analyst: UserClient, database: Database, suffix: str
) -> None:
    events = [
        with_suffix(make_event(), suffix)
        for make_event in (falco, tetragon, tracee, tracee_v1beta1)
    ]
    receipt = agent.send_events(events)
    assert (receipt["matched"], receipt["rejected"]) == (4, [])
    for alert in alerts_of(database):
        page = analyst.get(f"/alerts/{alert.id}")
        assert page.status_code == 200
        for forbidden in ("\0", "\u202e", "\x1b", "<script>alert"):
            assert forbidden not in page.text


def test_an_agent_event_can_be_explained(analyst: UserClient, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(json.dumps(make_event()) for make_event in AGENTS.values()))
    output = run(tmp_path, "explain", str(file)).stdout
    heading = "SSH launched inside a container, identified by container id: matches"
    assert output.count(heading) == len(AGENTS)
    page = analyst.post("/explain", {"event": json.dumps(falco()), "rule": "all"}).text
    assert 'container.id like "?*"' in visible_text(page)


# ---- random values below marker keys ----

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


def paths(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner: list[tuple[Any, Any]] = []
    if isinstance(tree, dict):
        inner = list(tree.items())
    elif isinstance(tree, list):
        inner = list(enumerate(tree))
    for key, value in inner:
        yield (*path, key)
        yield from paths(value, (*path, key))


@st.composite
def changed_events(draw: st.DrawFn) -> dict[str, Any]:
    """An agent's event with random values in up to four places."""
    event: dict[str, Any] = copy.deepcopy(draw(st.sampled_from([*AGENTS.values()]))())
    for path in draw(st.lists(st.sampled_from(list(paths(event))), min_size=1, max_size=4)):
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
    clock = FakeClock()
    path = tmp_path_factory.mktemp("formats") / "deckwatch.db"
    configured = read_settings(database_url=f"sqlite:///{path}", secret_key="s" * 40)
    database = open_migrated_database(configured, on_migrated=lambda _: None)
    key = api_keys.create(database, "fleet", Role.AGENT, principal=CLI_PRINCIPAL, at=clock())[1]
    with TestClient(create_app(configured, clock=clock), base_url=ORIGIN) as client:
        yield AgentClient(client, key), database
    database.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(marked | changed_events(), min_size=1, max_size=4))
def test_any_object_with_a_marker_key_is_accepted_or_quarantined_and_its_neighbours_match(
    fleet: tuple[AgentClient, Database], events: list[dict[str, Any]]
) -> None:
    agent, database = fleet
    neighbours = [exec_event(), exec_event()]
    before = count_quarantined(database).total()
    receipt = agent.send_events([neighbours[0], *events, neighbours[1]])
    assert receipt["received"] == len(events) + 2
    rejected = receipt["rejected"]
    assert all(event["error"] and 1 <= event["index"] <= len(events) for event in rejected)
    with database.read() as session:
        stored = session.exec(
            select(func.count())
            .select_from(Match)
            .where(Match.event_id.in_([event["event"]["id"] for event in neighbours]))  # type: ignore[attr-defined]
        ).one()
    assert (count_quarantined(database).total() - before, stored) == (len(rejected), 2)
