"""The demo's day: what its agents write is what Deckwatch reads."""

import json
import random
from datetime import UTC, datetime

import pytest

from app.demo import AGENTS
from app.demo_fleet import BROKEN, EVENTS, NAMELESS, Scene, event_of, noise
from tests.conftest import Agent

DICE = random.Random(1)  # noqa: S311
AT = datetime(2026, 11, 24, 11, 59, 58, 123456, tzinfo=UTC)


def test_every_agent_has_something_to_tell() -> None:
    assert {scene.agent for scene in EVENTS} == set(AGENTS)
    assert {"falco", "tetragon", "tracee"} <= set(AGENTS)


@pytest.mark.parametrize("scene", EVENTS, ids=lambda scene: ascii(scene.container))
def test_a_scene_opens_an_alert_however_its_agent_writes_it(agent: Agent, scene: Scene) -> None:
    receipt = agent.receipt(event_of(scene, AT, DICE))
    assert receipt["matched"] >= 1


@pytest.mark.parametrize("name", AGENTS)
def test_ordinary_processes_match_nothing(agent: Agent, name: str) -> None:
    receipt = agent.receipt([noise(name, AT, DICE) for _ in range(100)])
    assert (receipt["received"], receipt["matched"], receipt["rejected"]) == (100, 0, [])


def test_what_is_broken_on_purpose_is_refused(agent: Agent) -> None:
    good = json.dumps(event_of(EVENTS[0], AT, DICE)).encode()
    receipt = agent.receipt(b"\n".join([*BROKEN, NAMELESS, good]))
    assert receipt["matched"] >= 1
    assert [one["index"] for one in receipt["rejected"]] == list(range(len(BROKEN) + 1))
    assert "no proc.name" in receipt["rejected"][-1]["error"]
