"""The alert page: grouping, status, assignment, comments, activity, guide, raw events (all use one alert)."""

import re
from typing import Any, ClassVar

import pytest

from app.store.database import Database
from app.store.tables import Alert
from tests.conftest import AgentClient, FakeClock, UserClient
from tests.factories import exec_event

TUNNEL = ("ssh", "-N", "-R", "0.0.0.0:2222:localhost:22", "ops@203.0.113.9")


def load_alert(database: Database, alert_id: int = 1) -> Alert:
    with database.read() as session:
        alert = session.get(Alert, alert_id)
        assert alert is not None
        return alert


def change_status(user: UserClient, alert_id: int, **fields: Any) -> Any:
    return user.post(f"/alerts/{alert_id}/status", fields)


def close_alert(user: UserClient, alert_id: int = 1, verdict: str = "false positive") -> Any:
    return change_status(
        user, alert_id, move="close", verdict=verdict, reason="Known job, see OPS-1."
    )


class TestGrouping:
    def test_matches_with_the_same_fingerprint_share_an_alert(
        self, agent: AgentClient, database: Database
    ) -> None:
        agent.send_events([exec_event(), exec_event(), exec_event()])
        assert load_alert(database).match_count == 3

    @pytest.mark.parametrize(
        "other",
        [
            {"host": "node-12"},
            {"container": "web-aaaa"},
            {"user": "root"},
            {"args": ("autossh", "deploy@10.42.3.17")},
            {"args": ("ssh", "deploy@10.42.3.18")},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_a_match_with_a_different_grouping_value_opens_another_alert(
        self, agent: AgentClient, analyst: UserClient, other: dict[str, Any]
    ) -> None:
        args = other.pop("args", ())
        agent.send_events([exec_event(), exec_event(*args, **other)])
        assert 'Open <span class="dw-tab-count">2' in analyst.get("/alerts").text

    def test_the_page_lists_the_values_by_which_matches_are_grouped(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(exec_event())
        page = analyst.get("/alerts/1").text
        grouped = page[page.index("Events with these values are grouped") :][:900]
        for shared in ("node-11", "web-5c6b-id", "nginx", "ssh", "10.42.3.17"):
            assert shared in grouped

    def test_a_match_with_more_risk_raises_the_priority_and_changes_the_headline(
        self, agent: AgentClient, database: Database
    ) -> None:
        agent.send_events(exec_event("ssh", "ops@203.0.113.9"))
        before = load_alert(database).priority
        agent.send_events(exec_event(*TUNNEL))
        agent.send_events(exec_event("ssh", "ops@203.0.113.9"))
        after = load_alert(database)
        assert after.match_count == 3
        assert after.priority > before
        assert after.headline.startswith("Reverse tunnel")

    def test_alerts_are_ordered_by_receipt_and_not_by_the_agents_clock(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(exec_event(host="node-1"))
        agent.send_events(exec_event(host="node-2") | {"@timestamp": "1970-01-01T00:00:00Z"})
        page = analyst.get("/alerts").text
        assert page.index("node-2") < page.index("node-1")
        assert "behind" in analyst.get("/alerts/2").text

    def test_the_next_match_after_closing_opens_an_alert_linked_to_the_previous_one(
        self, agent: AgentClient, analyst: UserClient, database: Database
    ) -> None:
        agent.send_events(exec_event())
        close_alert(analyst, verdict="true positive")
        agent.send_events(exec_event())
        second = load_alert(database, 2)
        assert (second.previous_id, second.status, second.match_count) == (1, "open", 1)
        assert second.priority > load_alert(database, 1).priority
        page = analyst.get("/alerts/2").text
        assert "Seen before." in page
        assert "was closed as true positive" in page

    def test_a_match_updates_an_acknowledged_alert(
        self, agent: AgentClient, analyst: UserClient, database: Database
    ) -> None:
        agent.send_events(exec_event())
        change_status(analyst, 1, move="acknowledge")
        agent.send_events(exec_event())
        assert (load_alert(database).status, load_alert(database).match_count) == (
            "acknowledged",
            2,
        )


class TestStatus:
    ALLOWED: ClassVar = {
        ("open", "acknowledge"): "acknowledged",
        ("open", "close"): "closed",
        ("acknowledged", "close"): "closed",
        ("acknowledged", "reopen"): "open",
        ("closed", "reopen"): "open",
    }

    @pytest.mark.parametrize("before", ["open", "acknowledged", "closed"])
    @pytest.mark.parametrize("action", ["acknowledge", "close", "reopen"])
    def test_status_changes_follow_the_transition_table(
        self, agent: AgentClient, analyst: UserClient, database: Database, before: str, action: str
    ) -> None:
        agent.send_events(exec_event())
        if before == "acknowledged":
            change_status(analyst, 1, move="acknowledge")
        elif before == "closed":
            close_alert(analyst)
        fields = {"verdict": "duplicate", "reason": "of #0"} if action == "close" else {}
        response = change_status(analyst, 1, move=action, **fields)
        after = self.ALLOWED.get((before, action))
        assert response.status_code == (303 if after else 409)
        assert load_alert(database).status == (after or before)

    @pytest.mark.parametrize(
        ("verdict", "reason", "problem"),
        [
            ("", "because", "Choose a verdict"),
            ("not a verdict", "because", "Choose a verdict"),
            ("false positive", "  ", "Enter a reason"),
            ("false positive", "x" * 4001, "Enter at most 4000"),
        ],
    )
    def test_closing_without_a_valid_verdict_or_reason_keeps_the_input(
        self,
        agent: AgentClient,
        analyst: UserClient,
        database: Database,
        verdict: str,
        reason: str,
        problem: str,
    ) -> None:
        agent.send_events(exec_event())
        response = change_status(analyst, 1, move="close", verdict=verdict, reason=reason)
        assert response.status_code == 422
        assert problem in response.text
        assert reason.strip() in response.text
        assert load_alert(database).status == "open"

    def test_a_form_of_an_old_version_shows_the_change_and_keeps_the_input(
        self, agent: AgentClient, analyst: UserClient, admin: UserClient, database: Database
    ) -> None:
        agent.send_events(exec_event())
        change_status(admin, 1, move="acknowledge", version=1)
        response = change_status(
            analyst,
            1,
            move="close",
            version=1,
            verdict="false positive",
            reason="My long considered text.",
        )
        assert response.status_code == 409
        assert "ada</bdi>" in response.text or "ada acknowledged it" in response.text
        assert "My long considered text." in response.text
        assert load_alert(database).status == "acknowledged"

    def test_a_closed_alert_with_an_open_successor_cannot_be_reopened(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(exec_event())
        close_alert(analyst)
        agent.send_events(exec_event())
        response = change_status(analyst, 1, move="reopen")
        assert response.status_code == 409
        assert "alert #2 for the same activity is open" in response.text

    def test_closing_can_be_undone_from_the_notice(
        self, agent: AgentClient, analyst: UserClient, database: Database
    ) -> None:
        agent.send_events(exec_event())
        close_alert(analyst)
        page = analyst.get("/alerts/1").text
        notice = page[page.index('id="notice"') :][:1500]
        assert "Undo" in notice
        fields = dict(re.findall(r'name="(move|version)" value="(\w+)"', notice))
        assert change_status(analyst, 1, **fields).status_code == 303
        assert load_alert(database).status == "open"
        assert load_alert(database).verdict is None


class TestActivity:
    def test_every_change_is_listed_with_actor_and_time(
        self, agent: AgentClient, analyst: UserClient, admin: UserClient, clock: FakeClock
    ) -> None:
        agent.send_events(exec_event())
        clock.advance(minutes=5)
        change_status(analyst, 1, move="acknowledge")
        analyst.post("/alerts/1/assignee", {"assignee": "ada"})
        analyst.post("/alerts/1/comments", {"comment": "Asked the owner."})
        clock.advance(minutes=5)
        close_alert(admin, verdict="benign true positive")
        text = re.sub(r"<[^>]+>", " ", admin.get("/alerts/1").text)
        text = " ".join(text.split())
        activity = text[text.index("Activity") :]
        for entry in (
            "ada closed the alert as benign true positive · just now",
            "ana commented · 5 min ago Asked the owner.",
            "ana assigned the alert to ada",
            "ana acknowledged the alert",
            "Deckwatch opened this alert · 10 min ago",
        ):
            assert entry in activity

    @pytest.mark.parametrize(
        ("text", "problem"), [("   ", "Enter a "), ("x" * 4001, "Enter at most 4000")]
    )
    def test_an_empty_or_too_long_comment_is_rejected_with_the_reason(
        self, agent: AgentClient, analyst: UserClient, text: str, problem: str
    ) -> None:
        agent.send_events(exec_event())
        response = analyst.post("/alerts/1/comments", {"comment": text})
        assert response.status_code == 422
        assert problem in response.text

    def test_an_alert_can_only_be_assigned_to_an_active_user(
        self, agent: AgentClient, analyst: UserClient, database: Database
    ) -> None:
        agent.send_events(exec_event())
        response = analyst.post("/alerts/1/assignee", {"assignee": "nobody-known"})
        assert response.status_code == 422
        analyst.post("/alerts/1/assignee", {"assignee": "ana"})
        assert load_alert(database).assignee_id is not None
        analyst.post("/alerts/1/assignee", {"assignee": ""})
        assert load_alert(database).assignee_id is None


class TestGuide:
    def test_ticking_a_step_is_recorded_and_can_be_undone(
        self, agent: AgentClient, analyst: UserClient, clock: FakeClock
    ) -> None:
        agent.send_events(exec_event())
        page = analyst.get("/alerts/1").text
        action = re.search(r'action="(/alerts/1/guide/[^"]+)"', page)
        assert action is not None
        assert "Triage 0/5" in page
        analyst.post(action[1], {"part": "triage", "done": "yes"})
        analyst.post(action[1], {"part": "triage", "done": "yes"})
        clock.advance(hours=2)
        page = analyst.get("/alerts/1").text
        assert "Triage 1/5" in page
        assert "2 h ago" in page
        assert page.count("completed the step") == 1
        analyst.post(action[1], {"part": "triage", "done": "no"})
        assert "Triage 0/5" in analyst.get("/alerts/1").text

    def test_each_part_of_the_guide_has_its_own_url(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(exec_event())
        for part, steps in (("triage", 5), ("false_positives", 5), ("response", 7)):
            page = analyst.get(f"/alerts/1?guide={part}").text
            assert page.count('class="dw-step') - page.count('class="dw-steps"') >= steps

    def test_false_positive_steps_link_to_a_prefilled_exclusion(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(exec_event())
        page = analyst.get("/alerts/1?guide=false_positives").text
        links = re.findall(r'href="(/exclusions/new\?alert=1&amp;fields=[^"]+)"', page)
        assert len(links) >= 4
        form = analyst.get(links[0].replace("&amp;", "&")).text
        assert "web-5c6b-id" in form or "node-11" in form


def test_the_raw_event_is_returned_byte_for_byte(agent: AgentClient, analyst: UserClient) -> None:
    raw = (
        b'{"event":{"category":["process"],"type":"start","action":"exec"},'
        b'"host.os.type":"linux","process":{"name":"ssh","entry_leader":'
        b'{"entry_meta":{"type":"container"}}} }'
    )
    agent.send_events(raw)
    response = analyst.get("/matches/1/event.json")
    assert response.content == raw
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/alerts/999", "/alerts/99999999999999999999", "/alerts/x"])
def test_an_unknown_alert_returns_404(analyst: UserClient, path: str) -> None:
    response = analyst.get(path)
    assert response.status_code == 404
    assert "Page not found" in response.text
