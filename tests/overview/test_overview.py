"""The first page: what needs a look, and what could keep somebody from seeing it."""

import re

from tests.conftest import AgentClient, FakeClock, UserClient
from tests.exclusions.test_exclusions import propose_from_alert
from tests.factories import exec_event


def overview_text(person: UserClient) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", person.get("/").text).split())


def test_the_worst_alerts_come_first_whatever_came_last(
    agent: AgentClient, analyst: UserClient
) -> None:
    agent.send_events(
        exec_event("ssh", "-N", "-R", "22:localhost:22", "a@203.0.113.9", host="node-1")
    )
    agent.send_events([exec_event("ssh", "-V", host=f"node-{n}") for n in range(2, 20)])
    page = analyst.get("/").text
    assert re.findall(r'id="first-(\d+)"', page)[0] == "1"
    assert "1 open, high" in page
    assert "18 open, low" in page


def test_it_says_what_to_do_while_there_is_nothing(analyst: UserClient) -> None:
    page = overview_text(analyst)
    assert "No alert yet" in page
    assert "No agent has a key yet." in page


def test_a_new_exclusion_one_to_review_and_one_that_ends_are_shown(
    agent: AgentClient, admin: UserClient, analyst: UserClient
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin, reason="Approved just now.", close_alert="no")
    propose_from_alert(analyst, reason="Please approve.")
    page = overview_text(analyst)
    assert "new Approved just now. approved by ada" in page
    assert "to review Please approve. proposed by ana" in page


def test_a_silent_agent_and_unreadable_events_are_shown(
    agent: AgentClient, admin: UserClient, clock: FakeClock
) -> None:
    agent.send_events(b'{"broken":')
    assert "One event could not be read." in overview_text(admin)
    clock.advance(minutes=20)
    assert "silent fleet 20 min ago" in overview_text(admin)
