"""The explain page and `deckwatch explain`: why an event matches rules or not."""

import gzip
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from app.store.database import Database
from app.store.tables import Alert, Match, QuarantinedEvent
from tests.conftest import AgentClient, UserClient
from tests.exclusions.test_exclusions import propose_from_alert
from tests.factories import benign_event, exec_event
from tests.processes import run

NAME = "SSH launched inside a container"
RULE_ID = "f22fe44a-d370-42b4-b5db-5d02554f5990"


def explain(user: UserClient, *events: Any, rule: str = "", status: int = 200) -> str:
    """Return the visible text of the result."""
    text = "\n".join(event if isinstance(event, str) else json.dumps(event) for event in events)
    response = user.post("/explain", {"event": text, "rule": rule})
    assert response.status_code == status, response.text
    return visible_text(response.text)


def visible_text(page: str) -> str:
    below = page.partition("</form>\n</section>")[2].partition("</main>")[0]
    bare = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", below)).split())
    return re.sub(r" ([.,:;])", r"\1", bare)


def test_a_match_lists_every_clause_with_the_events_values(analyst: UserClient) -> None:
    page = explain(analyst, exec_event(), rule=RULE_ID)
    assert "The rule matches." in page
    assert f"{NAME} matches" in page
    assert 'holds: process.entry_leader.entry_meta.type == "container"' in page
    assert "In the event, process.entry_leader.entry_meta.type is “container”." in page
    assert "does not hold" not in page


def test_an_event_that_does_not_match_shows_expected_values_and_missing_fields(
    analyst: UserClient,
) -> None:
    event = benign_event()
    del event["process"]["entry_leader"]
    page = explain(analyst, event, rule=RULE_ID)
    assert "The rule does not match." in page
    assert "does not match: 2 conditions not met" in page
    assert "Expected: process.name is one of “autossh”, “ssh”, “sshd”." in page
    assert "In the event, process.name is “ls”." in page
    assert "These fields are missing in the event: process.entry_leader.entry_meta.type." in page


def test_matching_rules_come_first_then_those_with_the_fewest_unmet_conditions(
    analyst: UserClient,
) -> None:
    page = explain(analyst, exec_event(), rule="all")
    assert re.search(r"[1-9]\d* of \d+ rules match", page)
    unmet = [
        int(number) for number in re.findall(r"does not match: (\d+) conditions? not met", page)
    ]
    assert unmet
    assert unmet == sorted(unmet)
    first_miss = page.index("does not match")
    assert "would match" not in page[first_miss:]


def test_exclusions_are_explained_by_condition(agent: AgentClient, admin: UserClient) -> None:
    agent.send_events(exec_event())
    assert propose_from_alert(admin).status_code == 303
    page = explain(admin, exec_event(), rule=RULE_ID)
    assert "matches; exclusion 1 suppresses the match" in page
    assert "Exclusion 1 covers the match" in page
    assert "User is “nginx” The event has the value “nginx”" in page
    page = explain(admin, exec_event(user="root"), rule=RULE_ID)
    assert "Exclusion 1 does not cover the match" in page
    assert "does not hold: User is “nginx” The event has the value “root”" in page


def test_the_alert_page_links_to_the_explanation_of_its_event(
    agent: AgentClient, analyst: UserClient
) -> None:
    agent.send_events(exec_event("ssh", "root@10.0.0.7"))
    link = f"/explain?alert=1&amp;rule={RULE_ID}"
    assert link in analyst.get("/alerts/1").text
    page = analyst.get(html.unescape(link)).text
    assert "The rule matches." in page
    assert "root@10.0.0.7" in html.unescape(page)


@pytest.mark.parametrize("alert_id", ["2", "x", "-1", "9" * 30, ""])
def test_an_unknown_alert_returns_404(analyst: UserClient, alert_id: str) -> None:
    response = analyst.get(f"/explain?alert={alert_id}")
    assert response.status_code == 404
    assert "There is no such alert" in response.text


def test_a_disabled_rule_is_evaluated_only_when_selected(
    admin: UserClient,
) -> None:
    admin.post(f"/rules/{RULE_ID}/switch", {"enabled": "no", "version": "0", "next": "/rules"})
    assert f"{NAME} would match if it were enabled" in explain(admin, exec_event(), rule=RULE_ID)
    page = explain(admin, exec_event()).replace(f"Dropbear {NAME}", "")
    assert not re.search(rf"{NAME} (matches|does not match)", page)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "would be quarantined: not JSON"),
        ("{}", "no known agent format"),
        ("17", "an event is a JSON object, but this is a number"),
        ("[" * 5000, "would be quarantined"),
        ('{"_source": {"event": {"kind": "event"}}}', "rules match"),
    ],
)
def test_invalid_input_shows_the_reason_and_stays_in_the_form(
    analyst: UserClient, text: str, message: str
) -> None:
    response = analyst.post("/explain", {"event": text, "rule": ""})
    assert response.status_code == 200
    assert message in visible_text(response.text)
    assert text.strip()[:50] in html.unescape(response.text)


@pytest.mark.parametrize("text", ["", " \n "])
def test_empty_input_shows_an_error(analyst: UserClient, text: str) -> None:
    response = analyst.post("/explain", {"event": text, "rule": ""})
    assert response.status_code == 422
    assert "Paste an event:" in response.text


def test_the_first_five_events_are_explained_and_the_others_counted(analyst: UserClient) -> None:
    page = explain(analyst, *(exec_event(container=f"c{n}") for n in range(8)), "{broken")
    assert "Line 1: " in page
    assert "Line 5: " in page
    assert "Line 6" not in page
    assert "4 more events were pasted" in page


def test_explaining_stores_nothing(analyst: UserClient, database: Database) -> None:
    explain(analyst, exec_event(), "{broken")
    with database.read() as session:
        for table in (Alert, Match, QuarantinedEvent):
            assert session.exec(select(table)).all() == []


def test_control_characters_and_markup_are_escaped(analyst: UserClient) -> None:
    event = exec_event("ssh", "a\u202eb", "<script>alert(1)</script>", "\x1b[31m")
    response = analyst.post("/explain", {"event": json.dumps(event), "rule": "all"})
    assert response.status_code == 200
    below = response.text.partition("</form>")[2]
    assert "\u202e" not in below
    assert "<script>alert" not in response.text


def test_the_command_explains_each_event_of_a_file(tmp_path: Path) -> None:
    events = [exec_event("ssh", "root@10.0.0.7"), benign_event()]
    file = tmp_path / "events.ndjson.gz"
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, events)).encode()))
    result = run(tmp_path, "explain", "events.ndjson.gz", "--rule", "ssh_in_container")
    assert (result.returncode, result.stderr) == (0, "")
    first, second = result.stdout.split("events.ndjson.gz:2: ")
    assert f"✓ {NAME}: matches  [ssh_in_container, {RULE_ID}]" in first
    assert "✗" not in first
    assert f"✗ {NAME}: does not match" in second
    assert "expected: process.name is one of “autossh”, “ssh”, “sshd”" in second
    assert "process.name: “ls”" in second


def test_the_command_explains_only_enabled_rules_by_default(tmp_path: Path) -> None:
    event = json.dumps(exec_event()).encode()
    enabled_output, all_output = (
        run(tmp_path, "explain", "-", *options, stdin=event).stdout
        for options in ((), ("--all-rules",))
    )
    assert 0 < enabled_output.count("[") < all_output.count("[")
    assert "(disabled)" in all_output
    assert "(disabled)" not in enabled_output


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "message"),
    [
        (("nothing.json",), b"", 1, "nothing.json cannot be read: No such file"),
        (("-",), b"", 1, "stdin contains no events"),
        (("-",), b"{broken", 1, ""),
        (("-", "--rule", "ssh_in_contianer"), b"{}", 2, "Did you mean ssh_in_container?"),
        (("-", "--rule", "ssh_in_container", "--all-rules"), b"{}", 2, "cannot be combined"),
        ((), b"", 2, "Missing argument"),
    ],
)
def test_the_command_reports_usage_and_input_errors(
    tmp_path: Path, arguments: tuple[str, ...], stdin: bytes, code: int, message: str
) -> None:
    result = run(tmp_path, "explain", *arguments, stdin=stdin)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_rules_compile_prints_valid_python_without_text_from_rules(
    tmp_path: Path,
) -> None:
    result = run(tmp_path, "rules", "compile")
    assert result.returncode == 0, result.stderr
    compile(result.stdout, "<compiled>", "exec")
    code = [line for line in result.stdout.splitlines() if not line.lstrip().startswith("#")]
    assert any(line.startswith("def match_json(raw):") for line in code)
    assert not any('"' in line or "'" in line for line in code)
