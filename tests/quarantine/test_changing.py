"""Trying events in quarantine again, and deleting them."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import select

from app.store import audit
from app.store.audit import AuditFilter
from app.store.database import Database
from app.store.tables import Alert, AuditEntry, Match, Quarantine
from tests.conftest import Agent, Person
from tests.factories import exec_event, quiet_event

NOT_TEXT = b'{"a":"\xff<script>"}'


def encoded(event: dict[str, object]) -> bytes:
    return json.dumps(event).encode()


def left(database: Database) -> list[int]:
    with database.read() as session:
        return sorted(row.id or 0 for row in session.exec(select(Quarantine)))


def entries(database: Database, action: str) -> list[AuditEntry]:
    with database.read() as session:
        return audit.search(session, AuditFilter(action=action), 10)


def notice(person: Person, answer: Any) -> str:
    """What the page tells after a form was answered by going elsewhere."""
    assert answer.status_code == 303, answer.text
    page = person.get(answer.headers["location"]).text
    found = re.search(r'<div id="notice".*?<p>(.*?)</p>', page, re.DOTALL)
    assert found is not None
    return re.sub(r"<[^>]+>", "", found[1])


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
        monkeypatch.setattr("app.web.pages.quarantine_changes.AT_ONCE", 2)
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
