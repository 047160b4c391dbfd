"""The alert list: filters and order in the URL, pagination, bulk actions, htmx fragments."""

import re

import pytest

from app.store.database import Database
from tests.alerts.test_alerts import TUNNEL, load_alert
from tests.conftest import AgentClient, FakeClock, UserClient
from tests.factories import exec_event


class TestList:
    @pytest.fixture
    def four_alerts(self, agent: AgentClient, clock: FakeClock) -> None:
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

    def order(self, user: UserClient, query: str) -> list[int]:
        page = user.get(f"/alerts{query}").text
        return [int(number) for number in re.findall(r'id="alert-(\d+)"', page)]

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
    def test_filters_and_order_come_from_the_url(
        self, four_alerts: None, analyst: UserClient, query: str, ids: list[int]
    ) -> None:
        assert self.order(analyst, query) == ids

    def test_sorting_by_priority_lists_the_highest_first(
        self, four_alerts: None, analyst: UserClient
    ) -> None:
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
    def test_an_invalid_filter_shows_an_error(
        self, four_alerts: None, analyst: UserClient, query: str
    ) -> None:
        response = analyst.get("/alerts" + query)
        assert response.status_code == 200
        assert "Invalid filter." in response.text

    @pytest.mark.parametrize("sort", ["time", "priority", "rarity"])
    def test_pagination_lists_every_alert_once(
        self, agent: AgentClient, analyst: UserClient, sort: str
    ) -> None:
        agent.send_events([exec_event(host=f"node-{n}") for n in range(120)])
        alert_ids: list[int] = []
        url = f"/alerts?sort={sort}"
        for _ in range(3):
            page = analyst.get(url).text
            alert_ids += [int(number) for number in re.findall(r'id="alert-(\d+)"', page)]
            older = re.search(r'id="list-older" class="btn" href="([^"]+)"', page)
            if older is None:
                break
            url = older[1].replace("&amp;", "&")
        assert len(alert_ids) == 120
        assert len(set(alert_ids)) == 120

    def test_a_list_without_any_alert_links_to_the_connection_guide(
        self, analyst: UserClient
    ) -> None:
        page = analyst.get("/alerts").text
        assert "Connect an agent" in page
        assert 'href="/agents#connect"' in page

    def test_selected_alerts_are_closed_in_bulk(
        self, four_alerts: None, analyst: UserClient, database: Database
    ) -> None:
        fields = {"move": "close", "verdict": "duplicate", "reason": "All of one drill."}
        analyst.post("/alerts/bulk", {**fields, "alert": ["1", "2"], "next": "/alerts"})
        assert [load_alert(database, n).status for n in (1, 2, 3)] == ["closed", "closed", "open"]

    def test_htmx_gets_only_the_list_block(self, four_alerts: None, analyst: UserClient) -> None:
        headers = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "section#list"}
        part = analyst.get("/alerts", headers=headers)
        assert part.text.lstrip().startswith('<section id="list"')
        assert "<html" not in part.text
        assert "HX-Request" in part.headers["vary"]
        restored = {**headers, "HX-History-Restore-Request": "true"}
        assert "<html" in analyst.get("/alerts", headers=restored).text
