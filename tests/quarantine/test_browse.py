"""Quarantine list, the page of one event with its hex dump, and the export."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.principal import Role
from app.store import quarantine
from tests.conftest import AgentClient, UserClient

INVALID_UTF8 = b'{"a":"\xff<script>"}'


class TestList:
    def test_each_event_shows_time_agent_reason_and_bytes(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(INVALID_UTF8)
        page = analyst.get("/quarantine").text
        for text in ("fleet", "not UTF-8 at byte 6", "all 17 bytes", ">\\xff</span>"):
            assert text in page
        assert "&lt;script&gt;" in page
        assert "Retry" not in page
        assert "Delete" not in page

    def test_the_hex_dump_highlights_the_byte_named_in_the_reason(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(INVALID_UTF8)
        page = analyst.get("/quarantine/1").text
        assert "7b 22 61 22 3a 22 <mark>ff</mark> 3c 73" in page
        assert '|{"a":"<mark>·</mark>&lt;script&gt;'.replace('"', "&#34;") in page

    def test_a_large_event_opens_at_the_byte_named_in_the_reason(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(b'{"a":"' + b"x" * 10_000 + b"\xff" + b"y" * 10_000 + b'"}')
        page = analyst.get("/quarantine/1").text
        assert "8,192 to 10,240 of 20,009" in page
        assert "<mark>ff</mark>" in page
        assert page.count("78 78 78") < 2_048
        assert 'href="/quarantine/1?from=6144#bytes"' in page
        assert 'href="/quarantine/1?from=10240#bytes"' in page
        last = analyst.get("/quarantine/1?from=99999999999").text
        assert "18,432 to 20,009 of 20,009" in last
        assert "Next" not in last

    def test_a_character_split_by_the_end_of_the_preview_is_not_marked_invalid(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(b"x" * 299 + "é".encode() * 9)
        page = analyst.get("/quarantine").text
        assert "\\xc3" not in page

    def test_the_list_is_filtered_by_agent_and_by_reason(
        self, agent: AgentClient, analyst: UserClient, make_key: Callable[[str, Role], str]
    ) -> None:
        other = AgentClient(agent.client, make_key("other", Role.AGENT))
        agent.send_events(INVALID_UTF8)
        agent.send_events(b"17")
        other.send_events(b"18")
        ids = {
            query: re.findall(r'id="quarantined-(\d+)"', analyst.get(f"/quarantine?{query}").text)
            for query in ("key=1", "key=2", "reason=utf-8", "key=2&reason=utf-8", "key=9", "key=x")
        }
        assert ids == {
            "key=1": ["2", "1"],
            "key=2": ["3"],
            "reason=utf-8": ["1"],
            "key=2&reason=utf-8": [],
            "key=9": [],
            "key=x": ["3", "2", "1"],
        }
        assert "No events match these filters" in analyst.get("/quarantine?key=2&reason=utf-8").text

    def test_reasons_are_counted_by_their_kind(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        for spaces in range(3):
            agent.send_events(b"{" + b" " * spaces + b"\xff}")
        agent.send_events(b"17")
        page = analyst.get("/quarantine").text
        assert "<bdi>not UTF-8</bdi> (3)" in page
        assert 'href="/quarantine?reason=not+UTF-8"' in page

    def test_older_events_are_on_further_pages(
        self, analyst: UserClient, agent: AgentClient, add_to_quarantine: Callable[..., int]
    ) -> None:
        for number in range(60):
            add_to_quarantine(b"%d" % number)
        ids: list[str] = []
        path: str | None = "/quarantine?reason=format"
        while path:
            page = analyst.get(path).text
            ids += re.findall(r'id="quarantined-(\d+)"', page)
            older = re.search(r'id="list-older" class="btn" href="([^"]+)"', page)
            path = older[1].replace("&amp;", "&") if older else None
        assert ids == [str(number) for number in range(60, 0, -1)]

    def test_a_search_that_reaches_its_limit_says_where_it_stopped(
        self,
        analyst: UserClient,
        agent: AgentClient,
        add_to_quarantine: Callable[..., int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(quarantine, "SCAN_LIMIT", 5)
        add_to_quarantine(b"first", reason="rare")
        for number in range(9):
            add_to_quarantine(b"%d" % number)
        page = analyst.get("/quarantine?reason=rare").text
        assert "Only 5 events were searched, down to event 6" in page
        assert 'href="/quarantine?reason=rare&amp;before=6"' in page
        assert 'id="quarantined-1"' in analyst.get("/quarantine?reason=rare&before=6").text

    def test_a_count_stops_at_its_limit(
        self,
        analyst: UserClient,
        agent: AgentClient,
        add_to_quarantine: Callable[..., int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(quarantine, "COUNT_LIMIT", 3)
        for number in range(5):
            add_to_quarantine(b"%d" % number)
        assert "3+ events in total" in analyst.get("/quarantine").text
        assert "3+ events could not be parsed" in analyst.get("/").text

    def test_a_deleted_event_is_not_found(self, agent: AgentClient, admin: UserClient) -> None:
        agent.send_events(b"17")
        admin.post("/quarantine/delete", {"id": "1"})
        for path in ("/quarantine/1", "/quarantine/1/event.bin"):
            assert admin.get(path).status_code == 404


class TestExport:
    def lines(self, response: Any) -> list[dict[str, object]]:
        return [json.loads(line) for line in response.text.splitlines()]

    def test_an_export_has_every_byte_of_the_matching_events(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(INVALID_UTF8)
        agent.send_events(b"17")
        response = analyst.get("/quarantine/export.ndjson")
        assert response.headers["content-type"].startswith("application/x-ndjson")
        assert "attachment" in response.headers["content-disposition"]
        lines = self.lines(response)
        assert [base64.b64decode(str(line["base64"])) for line in lines] == [b"17", INVALID_UTF8]
        assert {name: lines[1][name] for name in ("id", "agent", "reason", "size")} == {
            "id": 1,
            "agent": "fleet",
            "reason": "not UTF-8 at byte 6",
            "size": 17,
        }
        filtered = self.lines(analyst.get("/quarantine/export.ndjson?reason=UTF-8"))
        assert [line["id"] for line in filtered] == [1]

    @pytest.mark.parametrize(
        ("constant", "limit"), [("EXPORT_EVENTS_LIMIT", 2), ("EXPORT_BYTES_LIMIT", 5)]
    )
    def test_an_export_at_its_limit_links_to_the_next_one(
        self,
        agent: AgentClient,
        analyst: UserClient,
        monkeypatch: pytest.MonkeyPatch,
        constant: str,
        limit: int,
    ) -> None:
        for event in (b"17", b"18", b"19"):
            agent.send_events(event)
        monkeypatch.setattr(f"app.web.pages.quarantine.export.{constant}", limit)
        first = self.lines(analyst.get("/quarantine/export.ndjson"))
        assert [line.get("id") for line in first] == [3, 2, None]
        rest = self.lines(analyst.get(str(first[2]["more"])))
        assert [line["id"] for line in rest] == [1]
