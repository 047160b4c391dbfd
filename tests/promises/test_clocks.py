"""Promise 8: no result depends on the clock of an agent, and the clock of the server may step back."""

import random
import re
from datetime import timedelta

import pytest
from sqlmodel import col, select

from app.store.database import Database
from app.store.tables import Alert, Match
from tests.conftest import AgentClient, FakeClock, UserClient
from tests.exclusions.test_exclusions import propose_from_alert
from tests.factories import exec_event
from tests.promises.ground import FULL_RUN, report

EVENTS = 2_000 if FULL_RUN else 100

# Timestamps that an agent may send. The value is what the alert page then says about the agent's clock.
TIMES: dict[str, str | None] = {
    "1970-01-01T00:00:00Z": "behind",
    "0001-01-01T00:00:00Z": "behind",
    "2026-11-24T11:59:58Z": None,
    "2026-11-24T13:59:58+02:00": None,
    "2026-11-24T15:00:00Z": "ahead",
    "9999-12-31T23:59:59.999999999Z": "ahead",
    "1795521600000": None,  # in milliseconds since 1970: the current time of `FakeClock`
}
UNREADABLE = ("", "yesterday", "-1e999", "10000-01-01T00:00:00Z", "2026-13-45T99:99:99Z")


def test_alerts_are_ordered_by_receipt_whatever_the_clocks_say(
    agent: AgentClient, database: Database, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(8)  # noqa: S311 (test data, no secret)
    steps_back = 0
    for number in range(EVENTS):
        said = chance.choice([*TIMES, *UNREADABLE])
        event = exec_event(host=f"host-{number:04}", event_id=f"clock-{number}")
        assert agent.send_events(event | {"@timestamp": said})["matched"] == 1
        step = chance.choice((-3600, -1, 0, 1, 60))
        steps_back += step < 0
        clock.advance(seconds=step)
    with database.read() as session:
        matches = session.exec(select(Match).order_by(col(Match.id))).all()
        by_receipt = session.exec(
            select(Alert.host).order_by(col(Alert.last_seen), col(Alert.id))
        ).all()
    received = [match.received_at for match in matches]
    report(
        capsys,
        8,
        f"{EVENTS:,} events with times from 1 to 9999, {steps_back} steps back of our clock",
    )
    assert [match.event_id for match in matches] == [f"clock-{n}" for n in range(EVENTS)]
    assert received == sorted(received)
    assert list(by_receipt) == [f"host-{n:04}" for n in range(EVENTS)]


@pytest.mark.parametrize(("said", "flagged"), TIMES.items())
def test_a_clock_that_is_off_is_flagged_on_the_alert(
    agent: AgentClient, analyst: UserClient, said: str, flagged: str | None
) -> None:
    assert agent.send_events(exec_event() | {"@timestamp": said})["matched"] == 1
    page = analyst.get("/alerts/1").text
    cell = re.search(r'data-label="Event time">(.*?)</td>', page, re.DOTALL)
    assert cell is not None
    shown = [way for way in ("ahead", "behind") if way in cell[1]]
    assert shown == ([flagged] if flagged else [])


@pytest.mark.parametrize("said", UNREADABLE)
def test_an_event_with_an_unreadable_time_still_alerts(
    agent: AgentClient, analyst: UserClient, said: str
) -> None:
    assert agent.send_events(exec_event() | {"@timestamp": said})["matched"] == 1
    assert "not sent" in analyst.get("/alerts/1").text


@pytest.mark.parametrize("said", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_an_exclusion_ends_by_our_clock(
    agent: AgentClient, admin: UserClient, clock: FakeClock, said: str
) -> None:
    agent.send_events(exec_event())
    propose_from_alert(admin, ends_at="2026-11-30")
    assert agent.send_events(exec_event() | {"@timestamp": said})["suppressed"] == 1
    clock.now += timedelta(days=30)
    assert agent.send_events(exec_event() | {"@timestamp": said})["suppressed"] == 0
