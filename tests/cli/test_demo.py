"""The demo: its scenarios match, its ordinary processes do not, its invalid events are rejected."""

import json
import random
from datetime import UTC, datetime

import pytest

from app.demo.run import AGENTS
from app.demo.scenarios import (
    FALCO_EVENT_WITHOUT_PROCESS_NAME,
    INVALID_EVENTS,
    FollowUp,
    Scenario,
    build_benign_event,
    build_event,
    load_scenarios,
)
from tests.conftest import AgentClient

RNG = random.Random(1)  # noqa: S311 (no secret)
AT = datetime(2026, 11, 24, 11, 59, 58, 123456, tzinfo=UTC)


def test_every_demo_agent_has_a_scenario() -> None:
    assert {scenario.agent for scenario in load_scenarios()} == set(AGENTS)
    assert {"falco", "tetragon", "tracee"} <= set(AGENTS)


def test_every_follow_up_has_its_arguments() -> None:
    assert {scenario.follow_up for scenario in load_scenarios()} == {None, *FollowUp}
    for scenario in load_scenarios():
        assert (scenario.verdict is not None) == (scenario.follow_up is FollowUp.CLOSE)
        is_exclusion = scenario.follow_up in (FollowUp.EXCLUDE, FollowUp.PROPOSE)
        assert bool(scenario.owner) == is_exclusion
        assert bool(scenario.reason) == (is_exclusion or scenario.follow_up is FollowUp.CLOSE)


@pytest.mark.parametrize(
    "scenario", load_scenarios(), ids=lambda scenario: ascii(scenario.container)
)
def test_every_scenario_matches_in_its_agents_format(
    agent: AgentClient, scenario: Scenario
) -> None:
    receipt = agent.send_events(build_event(scenario, AT, RNG))
    assert receipt["matched"] >= 1


@pytest.mark.parametrize("name", AGENTS)
def test_benign_processes_do_not_match(agent: AgentClient, name: str) -> None:
    receipt = agent.send_events([build_benign_event(name, AT, RNG) for _ in range(100)])
    assert (receipt["received"], receipt["matched"], receipt["rejected"]) == (100, 0, [])


def test_invalid_demo_events_are_rejected(agent: AgentClient) -> None:
    good = json.dumps(build_event(load_scenarios()[0], AT, RNG)).encode()
    receipt = agent.send_events(
        b"\n".join([*INVALID_EVENTS, FALCO_EVENT_WITHOUT_PROCESS_NAME, good])
    )
    assert receipt["matched"] >= 1
    assert [rejected["index"] for rejected in receipt["rejected"]] == list(
        range(len(INVALID_EVENTS) + 1)
    )
    assert "none of proc.name" in receipt["rejected"][-1]["error"]
