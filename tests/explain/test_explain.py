"""Why an event matched or not: on the page and on the command line, and nothing is stored by asking."""

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


def explain(person: UserClient, *events: Any, rule: str = "", status: int = 200) -> str:
    """The page's words below its form."""
    text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in events)
    answer = person.post("/explain", {"event": text, "rule": rule})
    assert answer.status_code == status, answer.text
    return visible_text(answer.text)


def visible_text(page: str) -> str:
    below = page.partition("</form>\n</section>")[2].partition("</main>")[0]
    bare = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", below)).split())
    return re.sub(r" ([.,:;])", r"\1", bare)


def test_a_match_is_told_clause_by_clause_with_what_the_event_has(analyst: UserClient) -> None:
    page = explain(analyst, exec_event(), rule=RULE_ID)
    assert "The rule matches." in page
    assert f"{NAME} matches" in page
    assert 'holds process.entry_leader.entry_meta.type == "container"' in page
    assert "process.entry_leader.entry_meta.type: “container”" in page
    assert "does not hold" not in page


def test_what_kept_an_event_from_matching_is_told_with_what_was_expected(
    analyst: UserClient,
) -> None:
    event = benign_event()
    del event["process"]["entry_leader"]
    page = explain(analyst, event, rule=RULE_ID)
    assert "The rule does not match." in page
    assert "does not match: 2 clauses short" in page
    assert "Expected: process.name is one of “autossh”, “ssh”, “sshd”." in page
    assert "process.name: “ls”" in page
    assert "The event does not have process.entry_leader.entry_meta.type" in page


def test_rules_that_match_come_first_then_the_nearest(analyst: UserClient) -> None:
    page = explain(analyst, exec_event(), rule="all")
    assert re.search(r"[1-9]\d* of \d+ rules match", page)
    verdicts = re.findall(r"(matches|would match|does not match: (\d+|one) clauses? short)", page)
    short = [1 if number == "one" else int(number) for _, number in verdicts if number]
    assert short == sorted(short)
    first_miss = page.index("does not match")
    assert "would match" not in page[first_miss:]


def test_an_exclusion_is_told_condition_by_condition(agent: AgentClient, admin: UserClient) -> None:
    agent.send_events(exec_event())
    assert propose_from_alert(admin).status_code == 303
    page = explain(admin, exec_event(), rule=RULE_ID)
    assert "matches; exclusion 1 suppresses it" in page
    assert "Exclusion 1 covers it" in page
    assert "User is “nginx” The event has “nginx”" in page
    page = explain(admin, exec_event(user="root"), rule=RULE_ID)
    assert "Exclusion 1 does not cover it" in page
    assert "does not hold User is “nginx” The event has “root”" in page


def test_an_alert_leads_to_why_it_matched(agent: AgentClient, analyst: UserClient) -> None:
    agent.send_events(exec_event("ssh", "root@10.0.0.7"))
    link = f"/explain?alert=1&amp;rule={RULE_ID}"
    assert link in analyst.get("/alerts/1").text
    page = analyst.get(html.unescape(link)).text
    assert "The rule matches." in page
    assert "root@10.0.0.7" in html.unescape(page)


@pytest.mark.parametrize("asked", ["2", "x", "-1", "9" * 30, ""])
def test_an_alert_that_is_not_there_is_said(analyst: UserClient, asked: str) -> None:
    answer = analyst.get(f"/explain?alert={asked}")
    assert answer.status_code == 404
    assert "There is no such alert" in answer.text


def test_a_disabled_rule_is_asked_when_named_and_says_that_it_decides_nothing(
    admin: UserClient,
) -> None:
    admin.post(f"/rules/{RULE_ID}/switch", {"enabled": "no", "version": "0", "next": "/rules"})
    assert f"{NAME} would match, were it enabled" in explain(admin, exec_event(), rule=RULE_ID)
    assert not re.search(rf"holds? {NAME} ", explain(admin, exec_event()))


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("{", 200, "cannot be read, and would go to quarantine: not JSON"),
        ("{}", 200, "no known agent format"),
        ("17", 200, "an event is a JSON object, but this is a number"),
        ("[" * 5000, 200, "cannot be read"),
        ('{"_source": {"event": {"kind": "event"}}}', 200, "rules match"),
    ],
)
def test_what_is_no_event_is_said_and_kept_in_the_form(
    analyst: UserClient, text: str, status: int, said: str
) -> None:
    answer = analyst.post("/explain", {"event": text, "rule": ""})
    assert answer.status_code == status
    assert said in visible_text(answer.text)
    assert text.strip()[:50] in html.unescape(answer.text)


@pytest.mark.parametrize("text", ["", " \n "])
def test_nothing_pasted_is_said_beside_the_field(analyst: UserClient, text: str) -> None:
    answer = analyst.post("/explain", {"event": text, "rule": ""})
    assert answer.status_code == 422
    assert "Paste an event first" in answer.text


def test_several_events_are_explained_and_the_rest_counted(analyst: UserClient) -> None:
    page = explain(analyst, *(exec_event(container=f"c{n}") for n in range(8)), "{broken")
    assert "Line 1: " in page
    assert "Line 5: " in page
    assert "Line 6" not in page
    assert "4 more events were pasted" in page


def test_asking_stores_nothing(analyst: UserClient, database: Database) -> None:
    explain(analyst, exec_event(), "{broken")
    with database.read() as session:
        for table in (Alert, Match, QuarantinedEvent):
            assert session.exec(select(table)).all() == []


def test_hostile_values_are_shown_as_escapes(analyst: UserClient) -> None:
    event = exec_event("ssh", "a\u202eb", "<script>alert(1)</script>", "\x1b[31m")
    answer = analyst.post("/explain", {"event": json.dumps(event), "rule": "all"})
    assert answer.status_code == 200
    below = answer.text.partition("</form>")[2]
    assert "\u202e" not in below
    assert "<script>alert" not in answer.text


def test_the_command_explains_each_event_of_a_file(tmp_path: Path) -> None:
    events = [exec_event("ssh", "root@10.0.0.7"), benign_event()]
    file = tmp_path / "events.ndjson.gz"
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, events)).encode()))
    ended = run(tmp_path, "explain", "events.ndjson.gz", "--rule", "ssh_in_container")
    assert (ended.returncode, ended.stderr) == (0, "")
    first, second = ended.stdout.split("events.ndjson.gz:2: ")
    assert f"✓ {NAME}: matches  [ssh_in_container, {RULE_ID}]" in first
    assert "✗" not in first
    assert f"✗ {NAME}: does not match" in second
    assert "expected: process.name is one of “autossh”, “ssh”, “sshd”" in second
    assert "process.name: “ls”" in second


def test_the_command_asks_the_rules_that_decide_unless_told_otherwise(tmp_path: Path) -> None:
    event = json.dumps(exec_event()).encode()
    few, every = (
        run(tmp_path, "explain", "-", *options, stdin=event).stdout
        for options in ((), ("--all-rules",))
    )
    assert 0 < few.count("[") < every.count("[")
    assert "(disabled)" in every
    assert "(disabled)" not in few


@pytest.mark.parametrize(
    ("words_given", "stdin", "code", "said"),
    [
        (("nothing.json",), b"", 1, "nothing.json cannot be read: No such file"),
        (("-",), b"", 1, "- holds no events"),
        (("-",), b"{broken", 1, ""),
        (("-", "--rule", "ssh_in_contianer"), b"{}", 2, "did you mean ssh_in_container?"),
        (("-", "--rule", "ssh_in_container", "--all-rules"), b"{}", 2, "not both"),
        ((), b"", 2, "Missing argument"),
    ],
)
def test_the_command_says_what_is_wrong(
    tmp_path: Path, words_given: tuple[str, ...], stdin: bytes, code: int, said: str
) -> None:
    ended = run(tmp_path, "explain", *words_given, stdin=stdin)
    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_rules_compile_prints_python_that_holds_no_text_of_a_rule_in_its_code(
    tmp_path: Path,
) -> None:
    ended = run(tmp_path, "rules", "compile")
    assert ended.returncode == 0, ended.stderr
    compile(ended.stdout, "<compiled>", "exec")
    code = [line for line in ended.stdout.splitlines() if not line.lstrip().startswith("#")]
    assert any(line.startswith("def match_json(raw):") for line in code)
    assert not any('"' in line or "'" in line for line in code)
