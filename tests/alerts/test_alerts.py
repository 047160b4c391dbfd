"""Working on alerts: the list, one alert, its status, comments, guide and history."""

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
        found = session.get(Alert, alert_id)
        assert found is not None
        return found


def change_status(person: UserClient, alert_id: int, **fields: Any) -> Any:
    return person.post(f"/alerts/{alert_id}/status", fields)


def close_alert(person: UserClient, alert_id: int = 1, verdict: str = "false positive") -> Any:
    return change_status(
        person, alert_id, move="close", verdict=verdict, reason="Known job, see OPS-1."
    )


class TestGrouping:
    def test_matches_that_agree_share_an_alert(
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
    def test_another_host_container_account_name_or_destination_is_another_alert(
        self, agent: AgentClient, analyst: UserClient, other: dict[str, Any]
    ) -> None:
        args = other.pop("args", ())
        agent.send_events([exec_event(), exec_event(*args, **other)])
        assert 'Open <span class="dw-tab-count">2' in analyst.get("/alerts").text

    def test_the_page_says_why_matches_were_grouped(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(exec_event())
        page = analyst.get("/alerts/1").text
        grouped = page[page.index("because these values are equal") :][:900]
        for shared in ("node-11", "web-5c6b-id", "nginx", "ssh", "10.42.3.17"):
            assert shared in grouped

    def test_a_worse_match_raises_the_alert_and_what_its_line_says(
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

    def test_a_forged_clock_does_not_sink_an_alert(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(exec_event(host="node-1"))
        agent.send_events(exec_event(host="node-2") | {"@timestamp": "1970-01-01T00:00:00Z"})
        page = analyst.get("/alerts").text
        assert page.index("node-2") < page.index("node-1")
        assert "behind" in analyst.get("/alerts/2").text

    def test_the_next_match_after_closing_opens_an_alert_that_knows_the_one_before(
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

    def test_an_acknowledged_alert_takes_further_matches(
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
    @pytest.mark.parametrize("wanted", ["acknowledge", "close", "reopen"])
    def test_moves_follow_the_table(
        self, agent: AgentClient, analyst: UserClient, database: Database, before: str, wanted: str
    ) -> None:
        agent.send_events(exec_event())
        if before == "acknowledged":
            change_status(analyst, 1, move="acknowledge")
        elif before == "closed":
            close_alert(analyst)
        fields = {"verdict": "duplicate", "reason": "of #0"} if wanted == "close" else {}
        answer = change_status(analyst, 1, move=wanted, **fields)
        after = self.ALLOWED.get((before, wanted))
        assert answer.status_code == (303 if after else 409)
        assert load_alert(database).status == (after or before)

    @pytest.mark.parametrize(
        ("verdict", "reason", "problem"),
        [
            ("", "because", "Choose a verdict"),
            ("not a verdict", "because", "Choose a verdict"),
            ("false positive", "  ", "Enter a reason"),
            ("false positive", "x" * 4001, "At most 4000"),
        ],
    )
    def test_closing_needs_a_verdict_and_a_reason_and_keeps_what_was_typed(
        self,
        agent: AgentClient,
        analyst: UserClient,
        database: Database,
        verdict: str,
        reason: str,
        problem: str,
    ) -> None:
        agent.send_events(exec_event())
        answer = change_status(analyst, 1, move="close", verdict=verdict, reason=reason)
        assert answer.status_code == 422
        assert problem in answer.text
        assert reason.strip() in answer.text
        assert load_alert(database).status == "open"

    def test_a_stale_form_says_what_changed_and_keeps_what_was_typed(
        self, agent: AgentClient, analyst: UserClient, admin: UserClient, database: Database
    ) -> None:
        agent.send_events(exec_event())
        change_status(admin, 1, move="acknowledge", version=1)
        answer = change_status(
            analyst,
            1,
            move="close",
            version=1,
            verdict="false positive",
            reason="My long considered text.",
        )
        assert answer.status_code == 409
        assert "ada</bdi>" in answer.text or "ada acknowledged it" in answer.text
        assert "My long considered text." in answer.text
        assert load_alert(database).status == "acknowledged"

    def test_a_closed_alert_cannot_be_reopened_beside_its_successor(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(exec_event())
        close_alert(analyst)
        agent.send_events(exec_event())
        answer = change_status(analyst, 1, move="reopen")
        assert answer.status_code == 409
        assert "Alert #2 has taken over" in answer.text

    def test_closing_offers_an_undo_that_works(
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
    def test_every_change_shows_who_when_from_and_to(
        self, agent: AgentClient, analyst: UserClient, admin: UserClient, clock: FakeClock
    ) -> None:
        agent.send_events(exec_event())
        clock.advance(minutes=5)
        change_status(analyst, 1, move="acknowledge")
        analyst.post("/alerts/1/assignee", {"assignee": "ada"})
        analyst.post("/alerts/1/comments", {"comment": "Asked the owner."})
        clock.advance(minutes=5)
        close_alert(admin, verdict="benign true positive")
        told = re.sub(r"<[^>]+>", " ", admin.get("/alerts/1").text)
        told = " ".join(told.split())
        story = told[told.index("Activity") :]
        for text in (
            "ada closed the alert as benign true positive · just now",
            "ana commented · 5 min ago Asked the owner.",
            "ana assigned the alert to ada",
            "ana acknowledged the alert",
            "Deckwatch opened this alert · 10 min ago",
        ):
            assert text in story

    @pytest.mark.parametrize(
        ("text", "problem"), [("   ", "Write something"), ("x" * 4001, "At most 4000")]
    )
    def test_a_comment_that_cannot_be_kept_says_why(
        self, agent: AgentClient, analyst: UserClient, text: str, problem: str
    ) -> None:
        agent.send_events(exec_event())
        answer = analyst.post("/alerts/1/comments", {"comment": text})
        assert answer.status_code == 422
        assert problem in answer.text

    def test_an_alert_is_assigned_to_people_who_are_there(
        self, agent: AgentClient, analyst: UserClient, database: Database
    ) -> None:
        agent.send_events(exec_event())
        answer = analyst.post("/alerts/1/assignee", {"assignee": "nobody-known"})
        assert answer.status_code == 422
        analyst.post("/alerts/1/assignee", {"assignee": "ana"})
        assert load_alert(database).assignee_id is not None
        analyst.post("/alerts/1/assignee", {"assignee": ""})
        assert load_alert(database).assignee_id is None


class TestGuide:
    def test_ticking_a_step_records_who_and_when_and_can_be_taken_back(
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

    def test_each_part_of_the_guide_is_a_link_of_its_own(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(exec_event())
        for part, steps in (("triage", 5), ("false_positives", 5), ("response", 7)):
            page = analyst.get(f"/alerts/1?guide={part}").text
            assert page.count('class="dw-step') - page.count('class="dw-steps"') >= steps

    def test_false_positive_steps_offer_the_matching_exclusion(
        self, agent: AgentClient, analyst: UserClient
    ) -> None:
        agent.send_events(exec_event())
        page = analyst.get("/alerts/1?guide=false_positives").text
        offered = re.findall(r'href="(/exclusions/new\?alert=1&amp;fields=[^"]+)"', page)
        assert len(offered) >= 4
        form = analyst.get(offered[0].replace("&amp;", "&")).text
        assert "web-5c6b-id" in form or "node-11" in form


def test_the_raw_event_is_handed_out_byte_for_byte(agent: AgentClient, analyst: UserClient) -> None:
    raw = (
        b'{"event":{"category":["process"],"type":"start","action":"exec"},'
        b'"host.os.type":"linux","process":{"name":"ssh","entry_leader":'
        b'{"entry_meta":{"type":"container"}}} }'
    )
    agent.send_events(raw)
    answer = analyst.get("/matches/1/event.json")
    assert answer.content == raw
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/alerts/999", "/alerts/99999999999999999999", "/alerts/x"])
def test_an_alert_that_is_not_there_is_a_clear_404(analyst: UserClient, path: str) -> None:
    answer = analyst.get(path)
    assert answer.status_code == 404
    assert "Nothing here" in answer.text
