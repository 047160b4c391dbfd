"""Agents page and the page of one agent: key states, traffic chart, silent periods, hosts and clock."""

import re
from collections.abc import Callable
from datetime import timedelta

from app.actions import api_keys as key_actions
from app.domain.principal import CLI_PRINCIPAL, Role
from app.store.database import Database
from app.store.traffic import TrafficCounts, add_traffic
from tests.conftest import AgentClient, FakeClock, UserClient
from tests.factories import benign_event, exec_event


def record_traffic(
    database: Database, clock: FakeClock, key_id: int, *minutes_ago: int, **counts: int
) -> None:
    """Record traffic in these minutes before now, as ingest does."""
    with database.write() as session:
        for minutes in minutes_ago:
            at = clock() - timedelta(minutes=minutes)
            traffic = TrafficCounts(**{"received": 60, "bytes": 9_000, **counts}, seen_at=at)
            add_traffic(session, key_id, at.replace(second=0, microsecond=0), traffic)


def key_rows(page: str) -> list[str]:
    """Return the rows of the key list as text, in order."""
    rows = re.findall(r'<tr role="row" id="key-\d+">(.*?)</tr>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]


def chart_table(page: str) -> list[dict[str, str]]:
    """Return the rows of the chart's table, newest first."""
    rows = re.findall(r'<tr data-time="(\d+)" data-events="(\S+)" data-bytes="(\S+)">', page)
    return [dict(zip(("at", "events", "bytes"), row, strict=True)) for row in rows]


def visible_text(page: str) -> str:
    main = page[page.index("<main") : page.index("</main>")]
    return " ".join(re.sub(r"<[^>]+>", " ", main).split())


class TestList:
    def test_keys_that_need_attention_come_first_and_revoked_keys_last(
        self,
        admin: UserClient,
        database: Database,
        clock: FakeClock,
        make_key: Callable[[str, Role], str],
    ) -> None:
        for name in ("a-active", "b-never", "c-silent", "d-revoked"):
            make_key(name, Role.AGENT)
        make_key("e-api", Role.ANALYST)
        record_traffic(database, clock, 1, 1)
        record_traffic(database, clock, 3, 47)
        key_actions.revoke(database, "d-revoked", principal=CLI_PRINCIPAL, at=clock())
        rows = key_rows(admin.get("/agents").text)
        assert [row.split()[0] for row in rows] == [
            "c-silent", "b-never", "a-active", "e-api", "d-revoked"
        ]  # fmt: skip
        for row, state in zip(
            rows, ("silent", "never seen", "active", "API client", "revoked"), strict=True
        ):
            assert state in row
        assert "47 min ago" in rows[0]

    def test_two_hundred_keys_are_paged_and_can_be_searched(
        self,
        admin: UserClient,
        database: Database,
        clock: FakeClock,
        make_key: Callable[[str, Role], str],
    ) -> None:
        for number in range(200):
            make_key(f"site-{number:03d}", Role.AGENT)
            if number != 150:
                record_traffic(database, clock, number + 1, 1)
        first = admin.get("/agents").text
        assert len(key_rows(first)) == 25
        assert "site-150" in key_rows(first)[0]
        assert "1 to 25 of 200 keys" in first
        names = [
            row.split()[0]
            for number in range(1, 9)
            for row in key_rows(admin.get(f"/agents?page={number}").text)
        ]
        assert len(names) == len(set(names)) == 200
        assert [row.split()[0] for row in key_rows(admin.get("/agents?q=SITE-07").text)] == [
            f"site-07{digit}" for digit in range(10)
        ]
        assert len(key_rows(admin.get("/agents?show=look").text)) == 1

    def test_an_invalid_page_or_filter_shows_the_nearest_valid_list(
        self, agent: AgentClient, admin: UserClient
    ) -> None:
        for query in ("page=0", "page=99", "page=-1", "page=x", "show=nothing", "connect=nothing"):
            assert len(key_rows(admin.get(f"/agents?{query}").text)) == 1, query
        assert "No keys match these filters" in admin.get("/agents?q=zzz").text

    def test_an_agent_with_a_fast_clock_is_marked(
        self, agent: AgentClient, admin: UserClient, clock: FakeClock
    ) -> None:
        ahead = (clock() + timedelta(minutes=4)).isoformat()
        events = [exec_event(**{"@timestamp": ahead}) for _ in range(2)]
        agent.send_events([*events, exec_event(**{"@timestamp": "1970-01-01T00:00:00Z"})])
        assert "clock 4 min ahead" in key_rows(admin.get("/agents").text)[0]


class TestAgentPage:
    def test_the_table_of_the_chart_has_the_rates_of_each_minute(
        self, agent: AgentClient, admin: UserClient, database: Database, clock: FakeClock
    ) -> None:
        record_traffic(database, clock, 1, 2, 5)
        record_traffic(database, clock, 1, 5, received=30, bytes=1_000, matched=2, duplicates=1)
        rows = chart_table(admin.get("/agents/1").text)
        assert len(rows) == 60
        start = int(clock().timestamp())
        expected = {start - 120: ("60.0", "9000"), start - 300: ("90.0", "10000")}
        assert {
            int(row["at"]): (row["events"], row["bytes"]) for row in rows if row["events"] != "0.0"
        } == expected

    def test_an_empty_chart_says_when_the_first_events_appear(
        self, agent: AgentClient, admin: UserClient, database: Database, clock: FakeClock
    ) -> None:
        text = "All events arrived in the current minute."
        assert text not in visible_text(admin.get("/agents/1").text)
        record_traffic(database, clock, 1, 0)
        assert text in visible_text(admin.get("/agents/1").text)
        record_traffic(database, clock, 1, 1)
        assert text not in visible_text(admin.get("/agents/1").text)

    def test_longer_ranges_have_longer_steps_with_rates_per_minute(
        self, agent: AgentClient, admin: UserClient, database: Database, clock: FakeClock
    ) -> None:
        record_traffic(database, clock, 1, *range(1, 31))
        for over, count, newest in (("day", 96, "60.0"), ("week", 84, "15.0")):
            rows = chart_table(admin.get(f"/agents/1?over={over}").text)
            assert len(rows) == count
            assert rows[0]["events"] == newest

    def test_matches_duplicates_and_rejected_events_are_counted_separately(
        self, agent: AgentClient, admin: UserClient
    ) -> None:
        event = exec_event()
        agent.send_events([event, benign_event(), {"no": "event"}])
        agent.send_events([event])
        text = visible_text(admin.get("/agents/1").text)
        assert re.search(
            r"events 4 data [\d.]+ kB matches 1 suppressed matches 0 duplicate matches 1"
            r" rejected events 1",
            text,
        )
        assert "1 event in quarantine" in text

    def test_silent_periods_are_listed_and_the_ongoing_one_is_marked(
        self, agent: AgentClient, admin: UserClient, database: Database, clock: FakeClock
    ) -> None:
        record_traffic(database, clock, 1, 200, 90, 89, 88, 20)
        text = visible_text(admin.get("/agents/1?over=day").text)
        assert "No event for 20 min." in text
        assert "19 min, ongoing , since 2026-11-24 11:41:00 UTC" in text
        assert "1 h 7 min, from 2026-11-24 10:33:00 UTC to 2026-11-24 11:40:00 UTC" in text
        assert "1 h 49 min, from" in text
        hour = visible_text(admin.get("/agents/1").text)
        assert "40 min, from 2026-11-24 11:00:00 UTC to 2026-11-24 11:40:00 UTC" in hour

    def test_a_key_without_events_says_so(
        self, admin: UserClient, make_key: Callable[[str, Role], str]
    ) -> None:
        make_key("new", Role.AGENT)
        text = visible_text(admin.get("/agents/1").text)
        assert "No event has been received with this key." in text
        assert "no match in the last 7 days has a timestamp" in text
        assert "No event received yet." in text

    def test_hosts_are_listed_up_to_a_limit_with_the_number_of_others(
        self, agent: AgentClient, admin: UserClient
    ) -> None:
        agent.send_events([exec_event(host=f"node-{n:02d}", container=f"c-{n}") for n in range(31)])
        text = visible_text(admin.get("/agents/1").text)
        assert "node-00" in text
        assert "node-19" in text
        assert "node-20" not in text
        assert "and 11 more" in text
        assert "These hosts appear in the newest 31 matches of the last 7 days." in text

    def test_hosts_of_another_agent_are_not_listed(
        self, agent: AgentClient, admin: UserClient, make_key: Callable[[str, Role], str]
    ) -> None:
        other = AgentClient(agent.client, make_key("other", Role.AGENT))
        agent.send_events([exec_event(host="mine")])
        other.send_events([exec_event(host="theirs", container="c-2")])
        text = visible_text(admin.get("/agents/2").text)
        assert "theirs" in text
        assert "mine" not in text

    def test_clock_skew_is_the_median_of_its_matches(
        self, agent: AgentClient, admin: UserClient, clock: FakeClock
    ) -> None:
        late = (clock() - timedelta(hours=3, minutes=20)).isoformat()
        agent.send_events([exec_event(**{"@timestamp": late}) for _ in range(3)])
        agent.send_events([exec_event(**{"@timestamp": "1970-01-01T00:00:00Z"})])
        assert "are 3 h 20 min earlier than the time of receipt" in visible_text(
            admin.get("/agents/1").text
        )

    def test_a_normal_delay_is_not_clock_skew(self, agent: AgentClient, admin: UserClient) -> None:
        agent.send_events(exec_event())
        page = admin.get("/agents/1").text
        assert "Correct: the timestamps of the matches agree with the time of receipt." in page

    def test_a_revoked_key_shows_who_revoked_it_and_has_no_actions(
        self, agent: AgentClient, admin: UserClient
    ) -> None:
        admin.post("/agents/keys/1/revoke")
        text = visible_text(admin.get("/agents/1").text)
        assert "Requests with this key are refused." in text
        assert "Revoke this key" not in text
        assert "by ada" in text
        assert "from the command line" in text

    def test_analysts_cannot_revoke_keys(self, agent: AgentClient, analyst: UserClient) -> None:
        for path in ("/agents", "/agents/1"):
            assert "Revoke" not in analyst.get(path).text
