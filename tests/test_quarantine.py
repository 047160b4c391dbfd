"""Quarantine: finding what could not be read, looking at it, trying it again, exporting, deleting."""

import base64
import json
import re
from collections.abc import Callable

import pytest
from sqlmodel import select

from app.domain.roles import Role
from app.store import audit, quarantine
from app.store.audit import AuditFilter
from app.store.database import Database
from app.store.tables import Alert, AuditEntry, Match, Quarantine
from tests.conftest import Agent, Clock, Person
from tests.factories import exec_event, quiet_event

NOT_TEXT = b'{"a":"\xff<script>"}'


@pytest.fixture
def keep(database: Database, clock: Clock) -> Callable[..., int]:
    """Put bytes in quarantine as an older version without some format would have; their number."""

    def kept(
        raw: bytes, key_id: int = 1, reason: str = "no known agent format: nothing fits"
    ) -> int:
        with database.write() as session:
            row = {"key_id": key_id, "received_at": clock(), "reason": reason, "event": raw}
            quarantine.insert_many(session, [row])
            return max(row.id or 0 for row in session.exec(select(Quarantine)))

    return kept


def encoded(event: dict[str, object]) -> bytes:
    return json.dumps(event).encode()


def left(database: Database) -> list[int]:
    with database.read() as session:
        return sorted(row.id or 0 for row in session.exec(select(Quarantine)))


def entries(database: Database, action: str) -> list[AuditEntry]:
    with database.read() as session:
        return audit.search(session, AuditFilter(action=action), 10)


def notice(person: Person, answer: object) -> str:
    """What the page tells after a form was answered by going elsewhere."""
    assert answer.status_code == 303, answer.text  # type: ignore[attr-defined]
    page = person.get(answer.headers["location"]).text  # type: ignore[attr-defined]
    found = re.search(r'<div id="notice".*?<p>(.*?)</p>', page, re.DOTALL)
    assert found is not None
    return re.sub(r"<[^>]+>", "", found[1])


class TestLooking:
    def test_each_event_shows_when_whose_why_and_its_bytes(
        self, agent: Agent, analyst: Person
    ) -> None:
        agent.receipt(NOT_TEXT)
        page = analyst.get("/quarantine").text
        for told in ("fleet", "not UTF-8 at byte 6", "all 17 bytes", ">\\xff</span>"):
            assert told in page
        assert "&lt;script&gt;" in page
        assert "Try" not in page
        assert "Delete" not in page

    def test_bytes_are_shown_in_hexadecimal_with_the_one_that_the_reason_names_marked(
        self, agent: Agent, analyst: Person
    ) -> None:
        agent.receipt(NOT_TEXT)
        page = analyst.get("/quarantine/1").text
        assert "7b 22 61 22 3a 22 <mark>ff</mark> 3c 73" in page
        assert '|{"a":"<mark>·</mark>&lt;script&gt;'.replace('"', "&#34;") in page

    def test_a_large_event_opens_at_the_byte_that_the_reason_names(
        self, agent: Agent, analyst: Person
    ) -> None:
        agent.receipt(b'{"a":"' + b"x" * 10_000 + b"\xff" + b"y" * 10_000 + b'"}')
        page = analyst.get("/quarantine/1").text
        assert "8,192 to 10,240 of 20,009" in page
        assert "<mark>ff</mark>" in page
        assert page.count("78 78 78") < 2_048
        assert 'href="/quarantine/1?from=6144#bytes"' in page
        assert 'href="/quarantine/1?from=10240#bytes"' in page
        last = analyst.get("/quarantine/1?from=99999999999").text
        assert "18,432 to 20,009 of 20,009" in last
        assert "After" not in last

    def test_a_character_cut_in_two_by_the_end_of_what_is_shown_is_not_called_broken(
        self, agent: Agent, analyst: Person
    ) -> None:
        agent.receipt(b"x" * 299 + "é".encode() * 9)
        page = analyst.get("/quarantine").text
        assert "\\xc3" not in page

    def test_the_list_is_filtered_by_agent_and_by_reason(
        self, agent: Agent, analyst: Person, make_key: Callable[[str, Role], str]
    ) -> None:
        other = Agent(agent.client, make_key("other", Role.AGENT))
        agent.receipt(NOT_TEXT)
        agent.receipt(b"17")
        other.receipt(b"18")
        shown = {
            query: re.findall(r'id="quarantined-(\d+)"', analyst.get(f"/quarantine?{query}").text)
            for query in ("key=1", "key=2", "reason=utf-8", "key=2&reason=utf-8", "key=9", "key=x")
        }
        assert shown == {
            "key=1": ["2", "1"],
            "key=2": ["3"],
            "reason=utf-8": ["1"],
            "key=2&reason=utf-8": [],
            "key=9": [],
            "key=x": ["3", "2", "1"],
        }
        assert "No event fits" in analyst.get("/quarantine?key=2&reason=utf-8").text

    def test_reasons_are_counted_by_their_kind(self, agent: Agent, analyst: Person) -> None:
        for place in range(3):
            agent.receipt(b"{" + b" " * place + b"\xff}")
        agent.receipt(b"17")
        page = analyst.get("/quarantine").text
        assert "<bdi>not UTF-8</bdi> (3)" in page
        assert 'href="/quarantine?reason=not+UTF-8"' in page

    def test_older_events_are_on_pages_of_their_own(
        self, analyst: Person, agent: Agent, keep: Callable[..., int]
    ) -> None:
        for number in range(60):
            keep(b"%d" % number)
        seen: list[str] = []
        path: str | None = "/quarantine?reason=format"
        while path:
            page = analyst.get(path).text
            seen += re.findall(r'id="quarantined-(\d+)"', page)
            found = re.search(r'id="list-older" class="btn" href="([^"]+)"', page)
            path = found[1].replace("&amp;", "&") if found else None
        assert seen == [str(number) for number in range(60, 0, -1)]

    def test_a_search_that_looked_through_many_says_where_it_stopped(
        self,
        analyst: Person,
        agent: Agent,
        keep: Callable[..., int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(quarantine, "LOOKED_THROUGH", 5)
        keep(b"first", reason="rare")
        for _ in range(9):
            keep(b"x")
        page = analyst.get("/quarantine?reason=rare").text
        assert "5 events were looked through, down to number 6" in page
        assert 'href="/quarantine?reason=rare&amp;before=6"' in page
        assert 'id="quarantined-1"' in analyst.get("/quarantine?reason=rare&before=6").text

    def test_a_count_stops_at_its_limit(
        self,
        analyst: Person,
        agent: Agent,
        keep: Callable[..., int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(quarantine, "COUNT_LIMIT", 3)
        for _ in range(5):
            keep(b"x")
        assert "3+ events in all" in analyst.get("/quarantine").text
        assert "3+ events could not be read" in analyst.get("/").text

    def test_what_was_deleted_meanwhile_is_not_found(self, agent: Agent, admin: Person) -> None:
        agent.receipt(b"17")
        admin.post("/quarantine/delete", {"id": "1"})
        for path in ("/quarantine/1", "/quarantine/1/event.bin"):
            assert admin.get(path).status_code == 404


class TestTryingAgain:
    def test_what_matches_today_becomes_a_match_and_leaves(
        self, agent: Agent, admin: Person, database: Database, keep: Callable[..., int]
    ) -> None:
        raw = encoded(exec_event(event_id="late"))
        number = keep(raw)
        assert "It would match:" in admin.get(f"/quarantine/{number}").text
        answer = admin.post("/quarantine/retry", {"id": str(number)})
        assert notice(admin, answer) == (
            "Tried again: it matches a rule now, and left the quarantine."
        )
        assert left(database) == []
        with database.read() as session:
            match = session.exec(select(Match)).first()
            alert = session.exec(select(Alert)).first()
        assert match is not None
        assert alert is not None
        assert (match.event, match.key_id, match.event_id) == (raw, 1, "late")
        assert match.alert_id == alert.id
        (entry,) = entries(database, "quarantine.retried")
        assert (entry.actor, entry.subject) == ("ada", f"quarantine {number}")
        assert "1 matched a rule (1 new matches)" in entry.detail

    def test_what_can_be_read_and_matches_nothing_leaves_without_a_trace_but_the_audit_log(
        self, agent: Agent, admin: Person, database: Database, keep: Callable[..., int]
    ) -> None:
        number = keep(encoded(quiet_event()))
        answer = admin.post("/quarantine/retry", {"id": str(number)})
        assert "matches no rule, so it left the quarantine and is not kept" in notice(admin, answer)
        assert left(database) == []
        assert len(entries(database, "quarantine.retried")) == 1

    def test_what_still_cannot_be_read_stays_with_todays_reason(
        self, agent: Agent, admin: Person, database: Database, keep: Callable[..., int]
    ) -> None:
        number = keep(b"17", reason="an old reason")
        answer = admin.post("/quarantine/retry", {"id": str(number)})
        assert "still cannot be read, and stays" in notice(admin, answer)
        page = admin.get("/quarantine").text
        assert "an old reason" not in page
        assert "this is a number" in page
        assert left(database) == [number]

    def test_everything_that_fits_is_tried_and_told_apart(
        self, agent: Agent, admin: Person, database: Database, keep: Callable[..., int]
    ) -> None:
        keep(encoded(exec_event()))
        keep(encoded(quiet_event()))
        keep(b"17")
        keep(encoded(exec_event()), reason="something else")
        form = {"reason": "no known", "up_to": "9"}
        told = notice(admin, admin.post("/quarantine/retry", form))
        assert told == (
            "Of 3, 1 matched a rule (1 new matches), 1 could be read and match no rule, "
            "1 still cannot be read."
        )
        assert left(database) == [3, 4]

    def test_what_came_after_the_page_was_made_is_left_alone(
        self, agent: Agent, admin: Person, database: Database, keep: Callable[..., int]
    ) -> None:
        for _ in range(3):
            keep(encoded(quiet_event()))
        admin.post("/quarantine/retry", {"up_to": "2"})
        assert left(database) == [3]

    def test_an_event_that_was_stored_meanwhile_is_a_duplicate(
        self, agent: Agent, admin: Person, database: Database, keep: Callable[..., int]
    ) -> None:
        event = exec_event(event_id="twice")
        agent.receipt(event)
        number = keep(encoded(event))
        admin.post("/quarantine/retry", {"id": str(number)})
        with database.read() as session:
            assert len(session.exec(select(Match)).all()) == 1
        (entry,) = entries(database, "quarantine.retried")
        assert "1 stored before" in entry.detail

    def test_more_than_one_click_takes_are_tried_by_the_next(
        self,
        agent: Agent,
        admin: Person,
        database: Database,
        keep: Callable[..., int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("app.web.pages.quarantine.AT_ONCE", 2)
        for _ in range(3):
            keep(encoded(quiet_event()))
        assert "There are more" in notice(admin, admin.post("/quarantine/retry", {"up_to": "9"}))
        assert left(database) == [1]
        assert "more" not in notice(admin, admin.post("/quarantine/retry", {"up_to": "9"}))
        assert left(database) == []

    def test_what_is_held_in_memory_at_once_is_bounded(
        self,
        agent: Agent,
        admin: Person,
        database: Database,
        keep: Callable[..., int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("app.ingest.second_look.BYTES_LIMIT", 1)
        for _ in range(2):
            keep(encoded(quiet_event()))
        told = notice(admin, admin.post("/quarantine/retry", {"up_to": "9"}))
        assert told.startswith("Of 1, 0 matched a rule")
        assert "There are more" in told
        assert left(database) == [1]


class TestDeleting:
    def test_a_deleted_event_leaves_its_digest_in_the_audit_log(
        self, agent: Agent, admin: Person, database: Database
    ) -> None:
        agent.receipt(b"17")
        answer = admin.post("/quarantine/delete", {"id": "1"})
        assert answer.headers["location"] == "/quarantine"
        assert notice(admin, answer) == "One event was deleted."
        assert left(database) == []
        (entry,) = entries(database, "quarantine.deleted")
        assert entry.subject == "quarantine 1"
        assert "4523540f1504cd17100c4835e85b7eefd49911580f8efff0599a8f283be6b9e3" in entry.detail

    def test_only_what_fits_the_filter_is_deleted(
        self, agent: Agent, admin: Person, database: Database
    ) -> None:
        agent.receipt(NOT_TEXT)
        agent.receipt(b"17")
        agent.receipt(b"18")
        answer = admin.post("/quarantine/delete", {"key": "1", "reason": "number", "up_to": "2"})
        assert answer.headers["location"] == "/quarantine?key=1&reason=number"
        assert left(database) == [1, 3]
        (entry,) = entries(database, "quarantine.deleted")
        assert "agent fleet, reason with “number”" in entry.detail

    @pytest.mark.parametrize("action", ["retry", "delete"])
    def test_a_form_that_does_not_say_which_events_does_nothing(
        self, agent: Agent, admin: Person, database: Database, action: str
    ) -> None:
        agent.receipt(b"17")
        for form in ({}, {"reason": "x"}, {"id": "x"}, {"up_to": "x"}, {"up_to": "1", "all": "1"}):
            assert admin.post(f"/quarantine/{action}", form).status_code == 422
        for form in ({"id": "99"}, {"up_to": "0"}):
            assert "nothing to" in notice(admin, admin.post(f"/quarantine/{action}", form))
        assert left(database) == [1]
        assert entries(database, "quarantine") == []

    @pytest.mark.parametrize("action", ["retry", "delete"])
    def test_analysts_may_look_and_not_change(
        self, agent: Agent, analyst: Person, database: Database, action: str
    ) -> None:
        agent.receipt(b"17")
        assert analyst.post(f"/quarantine/{action}", {"id": "1"}).status_code == 403
        assert left(database) == [1]


class TestExport:
    def lines(self, answer: object) -> list[dict[str, object]]:
        return [json.loads(line) for line in answer.text.splitlines()]  # type: ignore[attr-defined]

    def test_an_export_holds_every_byte_of_what_fits(self, agent: Agent, analyst: Person) -> None:
        agent.receipt(NOT_TEXT)
        agent.receipt(b"17")
        answer = analyst.get("/quarantine/export.ndjson")
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        assert "attachment" in answer.headers["content-disposition"]
        found = self.lines(answer)
        assert [base64.b64decode(str(line["base64"])) for line in found] == [b"17", NOT_TEXT]
        assert {name: found[1][name] for name in ("id", "agent", "reason", "size")} == {
            "id": 1,
            "agent": "fleet",
            "reason": "not UTF-8 at byte 6",
            "size": 17,
        }
        only = self.lines(analyst.get("/quarantine/export.ndjson?reason=UTF-8"))
        assert [line["id"] for line in only] == [1]

    @pytest.mark.parametrize(("limit", "most"), [("EXPORT_EVENTS", 2), ("EXPORT_BYTES", 5)])
    def test_an_export_that_is_cut_says_where_to_go_on(
        self,
        agent: Agent,
        analyst: Person,
        monkeypatch: pytest.MonkeyPatch,
        limit: str,
        most: int,
    ) -> None:
        for number in (b"17", b"18", b"19"):
            agent.receipt(number)
        monkeypatch.setattr(f"app.web.pages.quarantine.{limit}", most)
        first = self.lines(analyst.get("/quarantine/export.ndjson"))
        assert [line.get("id") for line in first] == [3, 2, None]
        rest = self.lines(analyst.get(str(first[2]["more"])))
        assert [line["id"] for line in rest] == [1]
