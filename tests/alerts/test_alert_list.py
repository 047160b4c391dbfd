"""The list of alerts: filters and order in the address, pages, tabs, several at once."""

import re

import pytest

from app.store.database import Database
from tests.alerts.test_alerts import TUNNEL, load_alert
from tests.conftest import AgentClient, FakeClock, UserClient
from tests.factories import exec_event


class TestList:
    @pytest.fixture
    def four(self, agent: AgentClient, clock: FakeClock) -> None:
        for number, args in enumerate(
            [("ssh", "a@one.example"), TUNNEL, ("/usr/sbin/sshd", "-D"), ("ssh", "-V")], start=1
        ):
            clock.advance(minutes=1)
            times = [3, 1, 2, 4][number - 1]
            agent.send_events(
                [
                    exec_event(*args, host=f"node-{number}", namespace=f"ns-{number}")
                    for _ in range(times)
                ]
            )

    def order(self, person: UserClient, query: str) -> list[int]:
        page = person.get(f"/alerts{query}").text
        return [int(found) for found in re.findall(r'id="alert-(\d+)"', page)]

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ("", [4, 3, 2, 1]),
            ("?sort=time", [4, 3, 2, 1]),
            ("?sort=rarity", [2, 3, 1, 4]),
            ("?q=one.example", [1]),
            ("?q=ONE", [1]),
            ("?q=node-2+reverse", [2]),
            ("?q=%25", []),
            ("?host=node-3", [3]),
            ("?namespace=ns-4", [4]),
            ("?role=daemon", [3]),
            ("?role=no-op", [4]),
            ("?destination=203.0.113.9", [2]),
            ("?severity=high", [3, 2]),
            ("?severity=low", [4]),
            ("?assignee=nobody", [4, 3, 2, 1]),
            ("?assignee=me", []),
            ("?status=closed", []),
            ("?status=all", [4, 3, 2, 1]),
            ("?image=shop/web", []),
            ("?image=shop/web:9.1", [4, 3, 2, 1]),
        ],
    )
    def test_the_url_holds_filters_and_order(
        self, four: None, analyst: UserClient, query: str, ids: list[int]
    ) -> None:
        assert self.order(analyst, query) == ids

    def test_priority_order_puts_the_worst_first(self, four: None, analyst: UserClient) -> None:
        assert self.order(analyst, "?sort=priority")[0] == 2

    @pytest.mark.parametrize(
        "query",
        [
            "?severity=enormous",
            "?sort=sideways",
            "?role=x",
            "?status=gone",
            "?verdict=x",
            "?assignee=ghost",
            "?cursor=!!!",
            "?cursor=WzEsMV0",
        ],
    )
    def test_a_filter_that_cannot_be_read_says_what_would_fit(
        self, four: None, analyst: UserClient, query: str
    ) -> None:
        answer = analyst.get("/alerts" + query)
        assert answer.status_code == 200
        assert "Invalid filter." in answer.text

    @pytest.mark.parametrize("sort", ["time", "priority", "rarity"])
    def test_pages_follow_one_another_without_gap_or_repetition(
        self, agent: AgentClient, analyst: UserClient, sort: str
    ) -> None:
        agent.send_events([exec_event(host=f"node-{n}") for n in range(120)])
        seen: list[int] = []
        url = f"/alerts?sort={sort}"
        for _ in range(3):
            page = analyst.get(url).text
            seen += [int(found) for found in re.findall(r'id="alert-(\d+)"', page)]
            older = re.search(r'id="list-older" class="btn" href="([^"]+)"', page)
            if older is None:
                break
            url = older[1].replace("&amp;", "&")
        assert len(seen) == 120
        assert len(set(seen)) == 120

    def test_an_empty_list_says_how_to_connect_an_agent(self, analyst: UserClient) -> None:
        page = analyst.get("/alerts").text
        assert "Connect an agent" in page
        assert 'href="/agents#connect"' in page

    def test_several_alerts_are_closed_at_once(
        self, four: None, analyst: UserClient, database: Database
    ) -> None:
        fields = {"move": "close", "verdict": "duplicate", "reason": "All of one drill."}
        analyst.post("/alerts/bulk", {**fields, "alert": ["1", "2"], "next": "/alerts"})
        assert [load_alert(database, n).status for n in (1, 2, 3)] == ["closed", "closed", "open"]

    def test_htmx_gets_the_list_alone_and_a_browser_the_whole_page(
        self, four: None, analyst: UserClient
    ) -> None:
        headers = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "section#list"}
        part = analyst.get("/alerts", headers=headers)
        assert part.text.lstrip().startswith('<section id="list"')
        assert "<html" not in part.text
        assert "HX-Request" in part.headers["vary"]
        restored = {**headers, "HX-History-Restore-Request": "true"}
        assert "<html" in analyst.get("/alerts", headers=restored).text
