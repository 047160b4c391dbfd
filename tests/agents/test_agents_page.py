"""The agents page and the page of one agent: who sends how much, who is silent, whose clock is off."""

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
    database: Database, clock: FakeClock, key_id: int, *ago: int, **figures: int
) -> None:
    """What a key sent in whole minutes before now, as ingest would have counted it."""
    with database.write() as session:
        for minutes in ago:
            at = clock() - timedelta(minutes=minutes)
            traffic = TrafficCounts(**{"received": 60, "bytes": 9_000, **figures}, seen_at=at)
            add_traffic(session, key_id, at.replace(second=0, microsecond=0), traffic)


def key_rows(page: str) -> list[str]:
    """The rows of the list of keys, in their order, without markup."""
    found = re.findall(r'<tr role="row" id="key-\d+">(.*?)</tr>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]


def chart_table(page: str) -> list[dict[str, str]]:
    """The rows of the table that the chart is drawn from, newest first."""
    found = re.findall(r'<tr data-time="(\d+)" data-events="(\S+)" data-bytes="(\S+)">', page)
    return [dict(zip(("at", "events", "bytes"), row, strict=True)) for row in found]


def visible_text(page: str) -> str:
    main = page[page.index("<main") : page.index("</main>")]
    return " ".join(re.sub(r"<[^>]+>", " ", main).split())


class TestList:
    def test_what_needs_a_look_stands_first_and_revoked_keys_last(
        self,
        admin: UserClient,
        database: Database,
        clock: FakeClock,
        make_key: Callable[[str, Role], str],
    ) -> None:
        for name in ("a-fine", "b-never", "c-silent", "d-revoked"):
            make_key(name, Role.AGENT)
        make_key("e-api", Role.ANALYST)
        record_traffic(database, clock, 1, 1)
        record_traffic(database, clock, 3, 47)
        key_actions.revoke(database, "d-revoked", principal=CLI_PRINCIPAL, at=clock())
        shown = [(row.split()[0], row) for row in key_rows(admin.get("/agents").text)]
        assert [name for name, _ in shown] == [
            "c-silent", "b-never", "a-fine", "e-api", "d-revoked"
        ]  # fmt: skip
        for (_, row), state in zip(
            shown, ("silent", "never seen", "fine", "for the API", "revoked"), strict=True
        ):
            assert state in row
        assert "47 min ago" in shown[0][1]

    def test_the_list_stays_useful_with_two_hundred_keys(
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
        seen = [
            row.split()[0]
            for at in range(1, 9)
            for row in key_rows(admin.get(f"/agents?page={at}").text)
        ]
        assert len(seen) == len(set(seen)) == 200
        assert [row.split()[0] for row in key_rows(admin.get("/agents?q=SITE-07").text)] == [
            f"site-07{digit}" for digit in range(10)
        ]
        assert len(key_rows(admin.get("/agents?show=look").text)) == 1

    def test_pages_and_filters_that_do_not_exist_show_what_there_is(
        self, agent: AgentClient, admin: UserClient
    ) -> None:
        for query in ("page=0", "page=99", "page=-1", "page=x", "show=nothing", "connect=nothing"):
            assert len(key_rows(admin.get(f"/agents?{query}").text)) == 1, query
        assert "No key fits" in admin.get("/agents?q=zzz").text

    def test_an_agent_whose_events_come_from_the_future_is_marked(
        self, agent: AgentClient, admin: UserClient, clock: FakeClock
    ) -> None:
        ahead = (clock() + timedelta(minutes=4)).isoformat()
        honest = [exec_event(**{"@timestamp": ahead}) for _ in range(2)]
        agent.send_events([*honest, exec_event(**{"@timestamp": "1970-01-01T00:00:00Z"})])
        assert "clock 4 min ahead" in key_rows(admin.get("/agents").text)[0]


class TestAgentPage:
    def test_the_chart_and_the_table_hold_the_same_minutes(
        self, agent: AgentClient, admin: UserClient, database: Database, clock: FakeClock
    ) -> None:
        record_traffic(database, clock, 1, 2, 5)
        record_traffic(database, clock, 1, 5, received=30, bytes=1_000, matched=2, duplicates=1)
        steps = chart_table(admin.get("/agents/1").text)
        assert len(steps) == 60
        start = int(clock().timestamp())
        wanted = {start - 120: ("60.0", "9000"), start - 300: ("90.0", "10000")}
        assert {
            int(step["at"]): (step["events"], step["bytes"])
            for step in steps
            if step["events"] != "0.0"
        } == wanted

    def test_a_chart_that_has_nothing_yet_says_when_it_will(
        self, agent: AgentClient, admin: UserClient, database: Database, clock: FakeClock
    ) -> None:
        said = "All of it came within this minute, which is drawn when it is over."
        assert said not in visible_text(admin.get("/agents/1").text)
        record_traffic(database, clock, 1, 0)
        assert said in visible_text(admin.get("/agents/1").text)
        record_traffic(database, clock, 1, 1)
        assert said not in visible_text(admin.get("/agents/1").text)

    def test_longer_times_are_shown_in_longer_steps_and_still_a_minute(
        self, agent: AgentClient, admin: UserClient, database: Database, clock: FakeClock
    ) -> None:
        record_traffic(database, clock, 1, *range(1, 31))
        for over, count, newest in (("day", 96, "60.0"), ("week", 84, "15.0")):
            steps = chart_table(admin.get(f"/agents/1?over={over}").text)
            assert len(steps) == count
            assert steps[0]["events"] == newest

    def test_what_it_sent_is_counted_apart(self, agent: AgentClient, admin: UserClient) -> None:
        twice = exec_event()
        agent.send_events([twice, benign_event(), {"no": "event"}])
        agent.send_events([twice])
        shown = visible_text(admin.get("/agents/1").text)
        assert re.search(
            r"events 4 received [\d.]+ kB matches 1 of them suppressed 0 duplicates 1 rejected 1",
            shown,
        )
        assert "1 in quarantine" in shown

    def test_silences_are_listed_and_the_one_that_lasts_stands_out(
        self, agent: AgentClient, admin: UserClient, database: Database, clock: FakeClock
    ) -> None:
        record_traffic(database, clock, 1, 200, 90, 89, 88, 20)
        shown = visible_text(admin.get("/agents/1?over=day").text)
        assert "It has sent events before, and none for 20 min." in shown
        assert "19 min until now , from 2026-11-24 11:41:00 UTC" in shown
        assert "1 h 7 min, from 2026-11-24 10:33:00 UTC to 2026-11-24 11:40:00 UTC" in shown
        assert "1 h 49 min, from" in shown
        hour = visible_text(admin.get("/agents/1").text)
        assert "40 min, from 2026-11-24 11:00:00 UTC to 2026-11-24 11:40:00 UTC" in hour

    def test_a_key_that_never_sent_anything_says_so(
        self, admin: UserClient, make_key: Callable[[str, Role], str]
    ) -> None:
        make_key("new", Role.AGENT)
        shown = visible_text(admin.get("/agents/1").text)
        assert "Nothing has ever been sent with this key." in shown
        assert "no match of the last week tells its own time" in shown
        assert "since it has not sent anything yet" in shown

    def test_its_hosts_are_listed_up_to_a_bound_with_how_many_more(
        self, agent: AgentClient, admin: UserClient
    ) -> None:
        agent.send_events([exec_event(host=f"node-{n:02d}", container=f"c-{n}") for n in range(31)])
        shown = visible_text(admin.get("/agents/1").text)
        assert "node-00" in shown
        assert "node-19" in shown
        assert "node-20" not in shown
        assert "and 11 more" in shown
        assert "As told by 31 of its newest matches" in shown

    def test_another_agents_matches_do_not_count_as_its_own(
        self, agent: AgentClient, admin: UserClient, make_key: Callable[[str, Role], str]
    ) -> None:
        other = AgentClient(agent.client, make_key("other", Role.AGENT))
        agent.send_events([exec_event(host="mine")])
        other.send_events([exec_event(host="theirs", container="c-2")])
        shown = visible_text(admin.get("/agents/2").text)
        assert "theirs" in shown
        assert "mine" not in shown

    def test_its_clock_is_judged_by_the_middle_of_its_matches(
        self, agent: AgentClient, admin: UserClient, clock: FakeClock
    ) -> None:
        late = (clock() - timedelta(hours=3, minutes=20)).isoformat()
        agent.send_events([exec_event(**{"@timestamp": late}) for _ in range(3)])
        agent.send_events([exec_event(**{"@timestamp": "1970-01-01T00:00:00Z"})])
        assert "dated 3 h 20 min before their receipt" in visible_text(admin.get("/agents/1").text)

    def test_an_ordinary_delay_is_no_fault_of_the_clock(
        self, agent: AgentClient, admin: UserClient
    ) -> None:
        agent.send_events(exec_event())
        assert "Right, as far as the events of its matches tell." in admin.get("/agents/1").text

    def test_a_revoked_key_tells_by_whom_and_offers_nothing_more(
        self, agent: AgentClient, admin: UserClient
    ) -> None:
        admin.post("/agents/keys/1/revoke")
        shown = visible_text(admin.get("/agents/1").text)
        assert "Whatever presents this key is refused." in shown
        assert "Revoke this key" not in shown
        assert "by ada" in shown

    def test_analysts_see_the_page_without_what_only_admins_do(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        for path in ("/agents", "/agents/1"):
            assert "Revoke" not in analyst.get(path).text
