"""Retrying and deleting quarantined events."""

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


def notice(user: UserClient, response: Any) -> str:
    """Return the notice on the page that a form redirects to."""
    assert response.status_code == 303, response.text
    page = user.get(response.headers["location"]).text
    match = re.search(r'<div id="notice".*?<p>(.*?)</p>', page, re.DOTALL)
    assert match is not None
    return re.sub(r"<[^>]+>", "", match[1])


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
        assert (
            "A retry would accept the event. Matching rules:"
            in admin.get(f"/quarantine/{number}").text
        )
        response = admin.post("/quarantine/retry", {"id": str(number)})
        assert notice(admin, response) == "The event matches a rule now and left quarantine."
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
        assert "1 matched a rule (1 new match)" in entry.detail

    def test_an_event_that_matches_no_rule_is_deleted_and_audited(
        self,
        agent: AgentClient,
        admin: UserClient,
        database: Database,
        add_to_quarantine: Callable[..., int],
    ) -> None:
        number = add_to_quarantine(encoded(benign_event()))
        response = admin.post("/quarantine/retry", {"id": str(number)})
        assert "matches no rule, so it was deleted" in notice(admin, response)
        assert quarantined_ids(database) == []
        assert len(audit_entries(database, "quarantine.retried")) == 1

    def test_an_event_that_cannot_be_parsed_stays_with_the_new_reason(
        self,
        agent: AgentClient,
        admin: UserClient,
        database: Database,
        add_to_quarantine: Callable[..., int],
    ) -> None:
        number = add_to_quarantine(b"17", reason="an old reason")
        response = admin.post("/quarantine/retry", {"id": str(number)})
        assert "still cannot be parsed and stays" in notice(admin, response)
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
        text = notice(admin, admin.post("/quarantine/retry", form))
        assert text == (
            "Of 3 retried, 1 matched a rule (1 new match), 1 matched no rule, 1 still cannot be parsed."
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

    def test_an_event_that_was_stored_before_is_a_duplicate(
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
        assert "1 duplicate" in entry.detail

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
        assert "More events remain" in notice(
            admin, admin.post("/quarantine/retry", {"up_to": "9"})
        )
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
        text = notice(admin, admin.post("/quarantine/retry", {"up_to": "9"}))
        assert text.startswith("Of 1 retried, 0 matched a rule")
        assert "More events remain" in text
        assert quarantined_ids(database) == [1]


class TestDelete:
    def test_a_deleted_event_leaves_its_digest_in_the_audit_log(
        self, agent: AgentClient, admin: UserClient, database: Database
    ) -> None:
        agent.send_events(b"17")
        response = admin.post("/quarantine/delete", {"id": "1"})
        assert response.headers["location"] == "/quarantine"
        assert notice(admin, response) == "1 event was deleted."
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
        response = admin.post("/quarantine/delete", {"key": "1", "reason": "number", "up_to": "2"})
        assert response.headers["location"] == "/quarantine?key=1&reason=number"
        assert quarantined_ids(database) == [1, 3]
        (entry,) = audit_entries(database, "quarantine.deleted")
        assert "agent fleet, reason contains “number”" in entry.detail

    @pytest.mark.parametrize("action", ["retry", "delete"])
    def test_a_form_without_a_valid_selection_changes_nothing(
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
    def test_analysts_cannot_retry_or_delete(
        self, agent: AgentClient, analyst: UserClient, database: Database, action: str
    ) -> None:
        agent.send_events(b"17")
        assert analyst.post(f"/quarantine/{action}", {"id": "1"}).status_code == 403
        assert quarantined_ids(database) == [1]
