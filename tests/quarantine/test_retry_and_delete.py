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
from app.store.tables import Alert, AuditEntry, Match, QuarantinedEvent
from tests.conftest import AgentClient, UserClient
from tests.factories import benign_event, exec_event

INVALID_UTF8 = b'{"a":"\xff<script>"}'


def encoded(event: dict[str, object]) -> bytes:
    return json.dumps(event).encode()


def quarantined_ids(database: Database) -> list[int]:
    with database.read() as session:
        return sorted(row.id or 0 for row in session.exec(select(QuarantinedEvent)))


def audit_entries(database: Database, action: str) -> list[AuditEntry]:
    with database.read() as session:
        return audit.search(session, AuditFilter(action=action), 10)


def notice(person: UserClient, answer: Any) -> str:
    """What the page tells after a form was answered by going elsewhere."""
    assert answer.status_code == 303, answer.text
    page = person.get(answer.headers["location"]).text
    found = re.search(r'<div id="notice".*?<p>(.*?)</p>', page, re.DOTALL)
    assert found is not None
    return re.sub(r"<[^>]+>", "", found[1])


class TestRetry:
    def test_an_event_that_matches_now_becomes_a_match(
        self,
        agent: AgentClient,
        admin: UserClient,
        database: Database,
        add_to_quarantine: Callable[..., int],
    ) -> None:
        raw = encoded(exec_event(event_id="late"))
        number = add_to_quarantine(raw)
        assert "It would match:" in admin.get(f"/quarantine/{number}").text
        answer = admin.post("/quarantine/retry", {"id": str(number)})
        assert notice(admin, answer) == (
            "Tried again: it matches a rule now, and left the quarantine."
        )
        assert quarantined_ids(database) == []
        with database.read() as session:
            match = session.exec(select(Match)).first()
            alert = session.exec(select(Alert)).first()
        assert match is not None
        assert alert is not None
        assert (match.event, match.key_id, match.event_id) == (raw, 1, "late")
        assert match.alert_id == alert.id
        (entry,) = audit_entries(database, "quarantine.retried")
        assert (entry.actor, entry.subject) == ("ada", f"quarantine {number}")
        assert "1 matched a rule (1 new matches)" in entry.detail

    def test_a_readable_event_without_match_is_dropped_and_audited(
        self,
        agent: AgentClient,
        admin: UserClient,
        database: Database,
        add_to_quarantine: Callable[..., int],
    ) -> None:
        number = add_to_quarantine(encoded(benign_event()))
        answer = admin.post("/quarantine/retry", {"id": str(number)})
        assert "matches no rule, so it left the quarantine and is not kept" in notice(admin, answer)
        assert quarantined_ids(database) == []
        assert len(audit_entries(database, "quarantine.retried")) == 1

    def test_an_unreadable_event_stays_with_the_new_reason(
        self,
        agent: AgentClient,
        admin: UserClient,
        database: Database,
        add_to_quarantine: Callable[..., int],
    ) -> None:
        number = add_to_quarantine(b"17", reason="an old reason")
        answer = admin.post("/quarantine/retry", {"id": str(number)})
        assert "still cannot be read, and stays" in notice(admin, answer)
        page = admin.get("/quarantine").text
        assert "an old reason" not in page
        assert "this is a number" in page
        assert quarantined_ids(database) == [number]

    def test_retrying_a_filter_counts_each_result(
        self,
        agent: AgentClient,
        admin: UserClient,
        database: Database,
        add_to_quarantine: Callable[..., int],
    ) -> None:
        add_to_quarantine(encoded(exec_event()))
        add_to_quarantine(encoded(benign_event()))
        add_to_quarantine(b"17")
        add_to_quarantine(encoded(exec_event()), reason="something else")
        form = {"reason": "no known", "up_to": "9"}
        told = notice(admin, admin.post("/quarantine/retry", form))
        assert told == (
            "Of 3, 1 matched a rule (1 new matches), 1 matched no rule, 1 still cannot be parsed."
        )
        assert quarantined_ids(database) == [3, 4]

    def test_events_that_arrived_after_the_page_are_not_retried(
        self,
        agent: AgentClient,
        admin: UserClient,
        database: Database,
        add_to_quarantine: Callable[..., int],
    ) -> None:
        for _ in range(3):
            add_to_quarantine(encoded(benign_event()))
        admin.post("/quarantine/retry", {"up_to": "2"})
        assert quarantined_ids(database) == [3]

    def test_an_event_that_was_stored_meanwhile_is_a_duplicate(
        self,
        agent: AgentClient,
        admin: UserClient,
        database: Database,
        add_to_quarantine: Callable[..., int],
    ) -> None:
        event = exec_event(event_id="twice")
        agent.send_events(event)
        number = add_to_quarantine(encoded(event))
        admin.post("/quarantine/retry", {"id": str(number)})
        with database.read() as session:
            assert len(session.exec(select(Match)).all()) == 1
        (entry,) = audit_entries(database, "quarantine.retried")
        assert "1 duplicates" in entry.detail

    def test_events_over_the_retry_limit_are_left_for_the_next_retry(
        self,
        agent: AgentClient,
        admin: UserClient,
        database: Database,
        add_to_quarantine: Callable[..., int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("app.web.pages.quarantine.change_routes.BULK_LIMIT", 2)
        for _ in range(3):
            add_to_quarantine(encoded(benign_event()))
        assert "There are more" in notice(admin, admin.post("/quarantine/retry", {"up_to": "9"}))
        assert quarantined_ids(database) == [1]
        assert "more" not in notice(admin, admin.post("/quarantine/retry", {"up_to": "9"}))
        assert quarantined_ids(database) == []

    def test_a_retry_is_limited_in_bytes(
        self,
        agent: AgentClient,
        admin: UserClient,
        database: Database,
        add_to_quarantine: Callable[..., int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("app.ingest.retry.MAX_BYTES_PER_RETRY", 1)
        for _ in range(2):
            add_to_quarantine(encoded(benign_event()))
        told = notice(admin, admin.post("/quarantine/retry", {"up_to": "9"}))
        assert told.startswith("Of 1, 0 matched a rule")
        assert "There are more" in told
        assert quarantined_ids(database) == [1]


class TestDelete:
    def test_a_deleted_event_leaves_its_digest_in_the_audit_log(
        self, agent: AgentClient, admin: UserClient, database: Database
    ) -> None:
        agent.send_events(b"17")
        answer = admin.post("/quarantine/delete", {"id": "1"})
        assert answer.headers["location"] == "/quarantine"
        assert notice(admin, answer) == "One event was deleted."
        assert quarantined_ids(database) == []
        (entry,) = audit_entries(database, "quarantine.deleted")
        assert entry.subject == "quarantine 1"
        assert "4523540f1504cd17100c4835e85b7eefd49911580f8efff0599a8f283be6b9e3" in entry.detail

    def test_only_events_of_the_filter_are_deleted(
        self, agent: AgentClient, admin: UserClient, database: Database
    ) -> None:
        agent.send_events(INVALID_UTF8)
        agent.send_events(b"17")
        agent.send_events(b"18")
        answer = admin.post("/quarantine/delete", {"key": "1", "reason": "number", "up_to": "2"})
        assert answer.headers["location"] == "/quarantine?key=1&reason=number"
        assert quarantined_ids(database) == [1, 3]
        (entry,) = audit_entries(database, "quarantine.deleted")
        assert "agent fleet, reason with “number”" in entry.detail

    @pytest.mark.parametrize("action", ["retry", "delete"])
    def test_a_form_that_does_not_say_which_events_does_nothing(
        self, agent: AgentClient, admin: UserClient, database: Database, action: str
    ) -> None:
        agent.send_events(b"17")
        for form in ({}, {"reason": "x"}, {"id": "x"}, {"up_to": "x"}, {"up_to": "1", "all": "1"}):
            assert admin.post(f"/quarantine/{action}", form).status_code == 422
        for form in ({"id": "99"}, {"up_to": "0"}):
            assert "nothing to" in notice(admin, admin.post(f"/quarantine/{action}", form))
        assert quarantined_ids(database) == [1]
        assert audit_entries(database, "quarantine") == []

    @pytest.mark.parametrize("action", ["retry", "delete"])
    def test_analysts_may_look_and_not_change(
        self, agent: AgentClient, analyst: UserClient, database: Database, action: str
    ) -> None:
        agent.send_events(b"17")
        assert analyst.post(f"/quarantine/{action}", {"id": "1"}).status_code == 403
        assert quarantined_ids(database) == [1]
