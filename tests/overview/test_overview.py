"""Overview page: alerts by priority, and reminders about exclusions, agents and quarantine."""

import re

from tests.conftest import AgentClient, FakeClock, UserClient
from tests.exclusions.test_exclusions import propose_from_alert
from tests.factories import exec_event


def overview_text(user: UserClient) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", user.get("/").text).split())


def test_alerts_are_ordered_by_priority_not_by_time(
    agent: AgentClient, analyst: UserClient
) -> None:
    agent.send_events(
        exec_event("ssh", "-N", "-R", "22:localhost:22", "a@203.0.113.9", host="node-1")
    )
    agent.send_events([exec_event("ssh", "-V", host=f"node-{n}") for n in range(2, 20)])
    page = analyst.get("/").text
    assert re.findall(r'id="first-(\d+)"', page)[0] == "1"
    assert "1 open high-severity alert" in page
    assert "18 open low-severity alerts" in page


def test_an_empty_overview_says_what_to_do(analyst: UserClient) -> None:
    page = overview_text(analyst)
    assert "No alerts yet" in page
    assert "No agent is connected yet." in page


def test_new_exclusions_and_exclusions_to_review_are_shown(
    agent: AgentClient, admin: UserClient, analyst: UserClient
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin, reason="Approved just now.", close_alert="no")
    propose_from_alert(analyst, reason="Please approve.")
    page = overview_text(analyst)
    assert "new · Approved just now. approved by ada" in page
    assert "to review · Please approve. proposed by ana" in page


def test_silent_agents_and_quarantined_events_are_shown(
    agent: AgentClient, admin: UserClient, clock: FakeClock
) -> None:
    agent.send_events(b'{"broken":')
    assert "1 event could not be parsed." in overview_text(admin)
    clock.advance(minutes=20)
    assert "silent · fleet 20 min ago" in overview_text(admin)
