"""Everything in an event is an attacker's, everything in a form may be a mistake: both get an answer.

No 5xx, no markup that is not ours, no character that a reader cannot see, no row out of place.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi import FastAPI
from sqlmodel import col, func, select
from starlette.testclient import TestClient

from app.actions import accounts, credentials, keys, sessions
from app.domain.errors import Unavailable
from app.domain.event import ID_LIMIT
from app.domain.roles import COMMAND_LINE, Role
from app.domain.text import hidden
from app.ingest.body import EVENTS_LIMIT
from app.main import create_app
from app.settings import read_settings
from app.setup import opened
from app.store.database import Database
from app.store.people import Purpose
from app.store.tables import Alert, Match, User
from app.web.services import Services
from tests.conftest import ORIGIN, PASSWORD, Agent, Clock, Person
from tests.factories import exec_event, quiet_event
from tests.hostile import HOSTILE, hostile_event, named

# Sent one after the other, each as a request of its own: values of the wrong type, shape or size.
HUGE = 10**400
SHAPES: dict[str, Callable[[], dict[str, Any]]] = {
    "process is a text": lambda: exec_event() | {"process": "ssh"},
    "process is a number": lambda: exec_event() | {"process": 17},
    "process is a list": lambda: exec_event() | {"process": [exec_event()["process"]]},
    "process is a list of lists": lambda: exec_event() | {"process": [[[exec_event()["process"]]]]},
    "container is a list": lambda: exec_event() | {"container": [{"id": "a"}, {"id": ["b"]}, 7]},
    "container is a text": lambda: exec_event() | {"container": "web"},
    "container is null": lambda: exec_event() | {"container": None},
    "host is a list": lambda: exec_event() | {"host": [{"name": "a", "os": {"type": "linux"}}]},
    "host name is a list": lambda: (
        exec_event() | {"host": {"name": ["a", ["b"], None, 7], "os": {"type": "linux"}}}
    ),
    "user is a number": lambda: exec_event() | {"user": 0},
    "user id is huge": lambda: exec_event() | {"user": {"id": HUGE}},
    "event id is huge": lambda: exec_event() | {"event": exec_event()["event"] | {"id": HUGE}},
    "event id is a list": lambda: exec_event() | {"event": exec_event()["event"] | {"id": [1, 2]}},
    "event id is an object": lambda: (
        exec_event() | {"event": exec_event()["event"] | {"id": {"a": 1}}}
    ),
    "event id is empty": lambda: exec_event(event_id="") | {"event": exec_event()["event"]},
    "labels are a list": lambda: (
        exec_event() | {"container": {"id": "a", "labels": ["x", {"y": 1}]}}
    ),
    "labels are deep": lambda: exec_event() | {"container": {"id": "a", "labels": nested(80)}},
    "labels are many": lambda: (
        exec_event() | {"container": {"id": "a", "labels": {f"k{n}": "v" for n in range(10_000)}}}
    ),
    "labels are dotted": lambda: exec_event() | {"container.labels.app.kubernetes.io/name": "x"},
    "the time is far ahead": lambda: at("9999-12-31T23:59:59.999999999+14:00"),
    "the time is beyond the calendar": lambda: at("9999-12-31T23:59:59-14:00"),
    "the time is before the calendar": lambda: at("0001-01-01T00:00:00+14:00"),
    "the time is in the past": lambda: at("0001-01-01T00:00:00Z"),
    "the time is a negative number": lambda: at(-62_135_596_800_000),
    "the time is a huge number": lambda: at(HUGE),
    "the time is a fraction": lambda: at(1e30),
    "the time is a list": lambda: at(["x", "y"]),
    "the time is Arabic": lambda: at("٢٠٢٦-١١-٢٤T١٢:٠٠:٠٠Z"),
    "the time is a flag": lambda: at(True),
}


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"a": 1}
    for _ in range(depth):
        inner = {"a": inner}
    return inner


def at(moment: object) -> dict[str, Any]:
    return exec_event() | {"@timestamp": moment}


def with_process(**more: Any) -> Callable[[], dict[str, Any]]:
    def made() -> dict[str, Any]:
        event = exec_event()
        event["process"] |= more
        return event

    return made


SHAPES |= {
    "pid is huge": with_process(pid=HUGE),
    "pid is beyond 64 bits": with_process(pid=2**64),
    "pid is negative": with_process(pid=-(2**63) - 1),
    "pid is a fraction": with_process(pid=1.5),
    "pid is a text": with_process(pid="١٢"),
    "pid is a long text": with_process(pid="9" * 5_000),
    "args are a text": with_process(args="ssh -N -R 1:h:2 host"),
    "args are numbers": with_process(args=["ssh", "-p", 22, HUGE, 1.5, True, None]),
    "args are objects": with_process(args=["ssh", {"a": "b"}, [["host"]]]),
    "args are empty": with_process(args=[]),
    "args are empty texts": with_process(args=["", "", ""]),
    "args are many": with_process(args=["ssh", *["-v"] * 20_000, "host"]),
    "args are many forwards": with_process(
        args=["ssh", *[w for n in range(5_000) for w in ("-L", f"{n + 1}:h:22")], "host"]
    ),
    "args are many keys": with_process(
        args=["ssh", *[w for n in range(5_000) for w in ("-i", f"/key{n}")], "host"]
    ),
    "only a command line": with_process(args=None, command_line="ssh 'unclosed"),
    "a command line of quotes": with_process(args=None, command_line="ssh " + "'\"" * 50_000),
    "the name is a list": with_process(name=["ssh", "sshd", 7]),
    "the parent is a list": with_process(parent=[{"name": "a"}, {"name": "b"}]),
    "the parent is a text": with_process(parent="bash"),
    "interactive is a text": with_process(interactive="yes"),
}

RAW: dict[str, bytes] = {
    "an exponent out of range": b'"pid":1e999',
    "the same key again": b'"pid":1,"pid":"x","pid":[2]',
    "five thousand digits": b'"pid":' + b"7" * 5_000,
    "an escaped key": b'"\\u0070id":5',
    "a lone surrogate in a key": b'"\\ud800":5',
    "NUL in a key": b'"\\u0000":5',
}


class Page(HTMLParser):
    """The tags of a page with their attributes, and where its links and forms lead."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.marks: set[tuple[str, str]] = set()
        self.targets: set[str] = set()
        self.scripts: list[str] = []
        self.counts: Counter[str] = Counter()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] += 1
        self.marks.add((tag, ""))
        for name, value in attrs:
            self.marks.add((tag, name))
            if name in ("href", "src", "action", "hx-get", "hx-post", "hx-sse:connect"):
                self.targets.add(value or "")
        if tag == "script":
            self.scripts.append(dict(attrs).get("src") or "inline")


@dataclass
class House:
    """A running Deckwatch with all hostile events in it, seen by an admin."""

    app: FastAPI
    client: TestClient
    admin_key: str
    agent_key: str
    alerts: dict[str, int]
    known_marks: set[tuple[str, str]] = field(default_factory=set)
    known_targets: set[str] = field(default_factory=set)

    def get(self, path: str, **headers: str) -> str:
        answer = self.client.get(path, headers=headers)
        assert answer.status_code == 200, (path, answer.status_code)
        return str(answer.text)

    def learn(self, path: str) -> None:
        page = Page(self.get(path))
        self.known_marks |= page.marks
        self.known_targets |= page.targets

    def check(self, path: str, **headers: str) -> str:
        """The page, which must be made of nothing but what pages without hostile text are made of."""
        html = self.get(path, **headers)
        page = Page(html)
        assert page.marks - self.known_marks == set(), path
        assert all(script.startswith("/static/") for script in page.scripts), path
        assert "<script" not in re.sub(r'<script src="/static/', "", html), path
        elsewhere = {
            target
            for target in page.targets - self.known_targets
            if not target.startswith(("/", "#", "?")) or target.startswith("//")
        }
        assert elsewhere == set(), path
        # What a form sends back must be what it was, down to the last character.
        text = re.sub(r"(?s)<textarea.*?</textarea>|(?<= )value=\"[^\"]*\"", "", html)
        unseen = {f"U+{ord(c):04X}" for c in set(text) if c != "\n" and hidden(c)}
        assert unseen == set(), path
        return html

    def send(self, *events: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post(
            "/api/v1/events",
            content=b"\n".join(json.dumps(event).encode() for event in events),
            headers={"Authorization": f"Bearer {self.agent_key}"},
        )
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("hostile")
    settings = read_settings(database_url=f"sqlite:///{folder / 'deckwatch.db'}")
    database = opened(settings, migrate=lambda _: None)
    clock = Clock()
    user = accounts.create_user(
        database, "ada", Role.ADMIN, password=None, who=COMMAND_LINE, at=clock()
    )
    link = accounts.make_link(
        database, Purpose.ENTER, user_id=user.id, who=COMMAND_LINE, at=clock()
    )
    made = {
        role: keys.create(database, f"{role}-key", role, who=COMMAND_LINE, at=clock())[1]
        for role in (Role.AGENT, Role.ADMIN)
    }
    app = create_app(settings, clock=clock)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        assert client.get(f"/setup/{link}").status_code == 303
        found = House(app, client, made[Role.ADMIN], made[Role.AGENT], {})
        _learn(found)
        _fill(found, database)
        yield found
    database.close()


def _learn(house: House) -> None:
    """See every page once with events in which nothing is hostile, though much of it alarming."""
    labels = {"id": "a", "name": "b", "image": {"name": "x"}, "labels": {"a": "é\u202e"}}
    house.send(
        exec_event("ssh", "-A", "-o", "StrictHostKeyChecking=no", "-R", "1:h:2", "root@é\u202e"),
        exec_event("ssh", *["-v"] * 600, "-N", "h", entry="container") | {"container": labels},
    )
    house.client.post(
        "/api/v1/events",
        content=b"{",
        headers={"Authorization": f"Bearer {house.agent_key}"},
    )
    propose(house, "a-host")
    house.send(exec_event(host="a-host"))
    for path in ("/alerts", "/alerts/1", "/alerts/2", "/exclusions/new?alert=2", "/exclusions"):
        house.learn(path)
    for path in ("/alerts?host=x", "/exclusions/1", "/agents", "/audit", "/", "/rules", "/users"):
        house.learn(path)
    house.known_marks |= {("hx-partial", name) for name in ("", "hx-target", "hx-swap")}
    house.known_marks.add(("br", ""))  # of a reason with several lines


def _fill(house: House, database: Database) -> None:
    for start in range(0, len(HOSTILE), 20):
        some = HOSTILE[start : start + 20]
        receipt = house.send(
            *(hostile_event(text, f"hostile-{start + n}") for n, text in enumerate(some))
        )
        assert (receipt["matched"], receipt["rejected"]) == (len(some), [])
    with database.read() as session:
        rows = session.exec(select(Match.event_id, Match.alert_id))
        house.alerts = {event_id: alert_id or 0 for event_id, alert_id in rows}


def propose(house: House, host: str, **more: Any) -> Any:
    """Make an exclusion for a host through the API; the response."""
    with house.app.state.services.database.read() as session:
        rule_id = session.exec(select(Alert.rule_id)).first()
    wanted = {
        "rule_id": rule_id,
        "conditions": [{"field": "host.name", "operator": "is", "values": [host]}],
        "reason": "known",
        "owner": "ops",
        "ends_at": "2026-12-20T00:00:00Z",
    }
    # Not httpx's own JSON, which refuses the lone surrogates that are meant to be sent.
    return house.client.post(
        "/api/v1/exclusions",
        content=json.dumps(wanted | more).encode(),
        headers={
            "Authorization": f"Bearer {house.admin_key}",
            "Content-Type": "application/json",
        },
    )


def test_there_are_hundreds_of_them() -> None:
    assert len(set(HOSTILE)) > 200


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=[named(text) for text in HOSTILE])
def test_an_alert_shows_hostile_text_as_text(house: House, number: int) -> None:
    alert = house.alerts[f"hostile-{number}"]
    html = house.check(f"/alerts/{alert}")
    assert html.count('id="match-') == html.count("/event.json")
    house.check(f"/exclusions/new?alert={alert}")


def test_the_list_of_alerts_keeps_its_rows(house: House) -> None:
    seen: list[str] = []
    path: str | None = "/alerts?status=all&sort=priority"
    while path:
        html = house.check(path)
        rows = re.findall(r'href="/alerts/(\d+)"', html)
        assert Page(html).counts["tr"] == len(dict.fromkeys(rows)) + 1
        seen += dict.fromkeys(rows)
        older = re.search(r'<a id="list-older"[^>]* href="([^"]+)"', html)
        path = older[1].replace("&amp;", "&") if older else None
    assert set(map(int, seen)) >= set(house.alerts.values()) - {0}
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("block", ["alert", "matches", "activity", "guide", "list", "nothing"])
def test_a_block_that_is_fetched_alone_is_as_safe(house: House, block: str) -> None:
    asked = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": f"section#{block}"}
    house.check(f"/alerts/{max(house.alerts.values())}", **asked)
    house.check("/alerts", **asked)


def test_hostile_text_in_an_exclusion_is_refused_or_shown_as_text(house: House) -> None:
    made = []
    for text in HOSTILE:
        answer = propose(house, text[:10_000], reason=text[:1_000], owner=text[:90])
        assert answer.status_code in (201, 422), (named(text), answer.text)
        if answer.status_code == 201:
            made.append(answer.json()["id"])
        else:
            assert answer.json()["detail"]
    assert len(made) > 200
    for start in range(0, len(made), 50):
        house.check(f"/exclusions?show=all&from={start}")
    for number in made[::10]:
        house.check(f"/exclusions/{number}")
        house.check(f"/exclusions/{number}/edit")
    for start in range(0, 2 * len(made), 50):
        house.check(f"/audit?before={start + 50}")
    for number in made:
        ended = house.client.delete(
            f"/api/v1/exclusions/{number}", headers={"Authorization": f"Bearer {house.admin_key}"}
        )
        assert ended.status_code == 204


def test_hostile_bytes_in_quarantine_are_shown_as_text(house: House) -> None:
    lines = [text[:2_000].encode("utf-8", "surrogatepass") for text in HOSTILE if "\n" not in text]
    # The first is JSON, so that these are lines and not one event printed over many.
    body = b"\n".join((b"17", *(b"{" + line for line in lines)))
    answer = house.client.post(
        "/api/v1/events", content=body, headers={"Authorization": f"Bearer {house.agent_key}"}
    )
    assert answer.json()["received"] == len(answer.json()["rejected"]) == len(lines) + 1
    for before in range(10, len(lines) + 20, 10):
        house.check(f"/agents?before={before}")


@pytest.mark.parametrize("number", range(0, len(HOSTILE), 20))
def test_what_somebody_typed_into_an_address_is_answered(house: House, number: int) -> None:
    text = HOSTILE[number][:2_000].encode("utf-8", "replace").decode()
    names = ("q", "host", "status", "sort", "cursor", "assignee", "role", "verdict")
    for name in names:
        shown = house.client.get("/alerts", params={name: text})
        assert shown.status_code == 200
        assert "<script>" not in shown.text
        told = house.client.get(
            "/api/v1/alerts",
            params={name: text},
            headers={"Authorization": f"Bearer {house.admin_key}"},
        )
        assert told.status_code in (200, 422)
    for path in ("/audit", "/agents", "/exclusions", "/exclusions/new", "/rules", "/login"):
        query = dict.fromkeys(("who", "what", "before", "from", "show", "next", "fields"), text)
        assert house.client.get(path, params=query).status_code in (200, 303), path


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_an_event_of_any_shape_is_taken_and_can_be_looked_at(
    house: House, shape: Callable[[], dict[str, Any]]
) -> None:
    database: Database = house.app.state.services.database
    with database.read() as session:
        before = session.exec(select(func.max(Match.id))).one() or 0
    receipt = house.send(exec_event(), shape(), exec_event())
    assert receipt["received"] == 3
    assert receipt["matched"] + len(receipt["rejected"]) >= 2
    with database.read() as session:
        found = set(session.exec(select(Match.alert_id).where(col(Match.id) > before)))
    for one in found:
        assert len(house.check(f"/alerts/{one}")) < 1_000_000
        house.check(f"/exclusions/new?alert={one}")
    house.check("/alerts")


@pytest.mark.parametrize("inside", RAW.values(), ids=RAW.keys())
def test_odd_json_is_taken_or_named_and_its_neighbours_count(agent: Agent, inside: bytes) -> None:
    odd = (
        json.dumps(exec_event()).encode().replace(b'"process": {', b'"process": {' + inside + b",")
    )
    before, after = (json.dumps(exec_event()).encode() for _ in range(2))
    receipt = agent.receipt(b"\n".join((before, odd, after)))
    assert receipt["received"] == 3
    assert receipt["matched"] + len(receipt["rejected"]) == 3


# ---- what is told apart, and what is not lost ----


def test_an_event_id_of_any_length_stands_for_its_event(agent: Agent, database: Database) -> None:
    long, other = exec_event(event_id="i" * 1_000_000), exec_event(event_id="i" * 999_999 + "j")
    assert agent.receipt([long, other])["matched"] == 2
    assert agent.receipt([long, other])["duplicates"] == 2
    with database.read() as session:
        assert all(len(name) <= ID_LIMIT for name in session.exec(select(Match.event_id)))


def test_two_programs_of_one_process_are_two_events_when_agents_send_no_id(agent: Agent) -> None:
    def bare(line: str) -> dict[str, Any]:
        event = exec_event()
        event["process"] |= {"args": None, "command_line": line, "pid": 7}
        del event["event"]["id"]
        return event

    assert agent.receipt([bare("ssh a"), bare("ssh b")])["matched"] == 2
    assert agent.receipt(bare("ssh a"))["duplicates"] == 1


def test_thousands_of_different_alerts_may_come_in_one_request(
    agent: Agent, database: Database
) -> None:
    events = [exec_event("ssh", f"host-{n}", container=f"c-{n}") for n in range(3_000)]
    lines = b"\n".join(json.dumps(event).encode() for event in events)
    assert agent.receipt(lines)["matched"] == 3_000
    assert agent.receipt(lines)["duplicates"] == 3_000
    with database.read() as session:
        assert len(session.exec(select(Alert.id)).all()) == 3_000


def test_a_line_in_the_receipt_is_the_line_of_a_printed_array(agent: Agent) -> None:
    body = b'[\n  17,\n  {"event":\n    {"kind": "event"}},\n\n  "x"\n]'
    assert [one["line"] for one in agent.receipt(body)["rejected"]] == [2, 6]


SWALLOWED: dict[str, tuple[bytes, bytes]] = {  # before the good lines, behind them
    "a list as the first line": (b"[1]\n", b""),
    "an empty list as the first line": (b"[]\n", b""),
    "the end of an event as the first line": (b'["ssh","-p"],"pid":7}}\n', b"\n"),
    "a list that nobody closes": (b'[{"a":1},{"b":\n', b""),
    "an element that nobody closes": (b'[\n{"a":1},\n{"b":2\n', b",\n]"),
    "an unclosed text before": (b'{"a":"\n', b""),
}


@pytest.mark.parametrize(("before", "behind"), SWALLOWED.values(), ids=SWALLOWED.keys())
def test_a_bracket_that_nobody_closes_does_not_swallow_what_follows(
    agent: Agent, before: bytes, behind: bytes
) -> None:
    good = b"\n".join(json.dumps(exec_event()).encode() for _ in range(2))
    assert agent.receipt(before + good + behind)["matched"] == 2


def test_a_label_is_read_whichever_way_its_key_is_written(
    agent: Agent, admin: Person, make_key: Callable[[str, Role], str]
) -> None:
    """A negation holds where the field is missing, so a label that is not read hides too much."""
    agent.receipt(exec_event())
    rule_id = admin.get("/api/v1/alerts").json()["alerts"][0]["rule_id"]
    wanted = {
        "rule_id": rule_id,
        "conditions": [
            {"field": "host.name", "operator": "is", "values": ["node-11"]},
            {"field": "container.labels.tier", "operator": "is not", "values": ["prod"]},
        ],
        "reason": "tests",
        "owner": "ops",
        "ends_at": "2026-12-20T00:00:00Z",
    }
    headers = {"Authorization": f"Bearer {make_key('admin', Role.ADMIN)}"}
    assert agent.client.post("/api/v1/exclusions", json=wanted, headers=headers).status_code == 201
    container = exec_event()["container"]
    ways: list[dict[str, Any]] = [
        {"container": container | {"labels": {"tier": "prod"}}},
        {"container": container | {"labels.tier": "prod"}},
        {"container": [container | {"labels": {"tier": "prod"}}]},
        {"container.labels.tier": "prod"},
        {"container.labels": {"tier": "prod"}},
    ]
    for way in ways:
        assert agent.receipt(exec_event() | way)["suppressed"] == 0, way
    assert agent.receipt(exec_event())["suppressed"] == 1


@pytest.mark.parametrize("value", ["two\nlines", "two\rlines", " before", "after\t"])
def test_a_value_that_a_form_would_change_is_refused(house: House, value: str) -> None:
    answer = propose(house, value)
    assert answer.status_code == 422
    assert "line breaks" in answer.json()["detail"]


def test_a_value_with_an_odd_separator_stays_one_value(agent: Agent, admin: Person) -> None:
    event = exec_event(host="a\u2028b")
    agent.receipt(event)
    form = {
        "alert": "1",
        "rule": admin.get("/api/v1/alerts/1").json()["rule_id"],
        "field-0": "host.name",
        "operator-0": "is one of",
        "values-0": "a\u2028b\r\nc\x85d",
        "reason": "x",
        "owner": "x",
        "ends_at": "2026-12-20",
        "submit": "1",
    }
    assert admin.post("/exclusions", form).status_code == 303
    (made,) = admin.get("/api/v1/exclusions").json()["exclusions"]
    assert made["versions"][0]["conditions"][0]["values"] == ["a\u2028b", "c\x85d"]


# ---- bodies that cost more than they should ----


def test_more_events_than_anybody_sends_are_refused_whole(agent: Agent) -> None:
    lines = b"1\n" * (EVENTS_LIMIT + 1)
    for body in (lines, b"[" + b"1," * EVENTS_LIMIT + b"1]", b"[" + b"1," * EVENTS_LIMIT):
        answer = agent.send(body)
        assert answer.status_code == 413
        assert "more than 100,000 events" in answer.json()["detail"]


def test_one_event_may_be_printed_over_more_lines_than_a_request_may_hold_events(
    agent: Agent,
) -> None:
    event = exec_event("ssh", *["-v"] * (EVENTS_LIMIT + 1), "host")
    receipt = agent.receipt(json.dumps(event, indent=1).encode())
    assert (receipt["received"], receipt["matched"]) == (1, 1)


COSTLY: dict[str, bytes] = {  # where time grew with the square of the size, each took minutes
    "an unclosed text of quotes in an array": b'["' + b'\\"' * 250_000 + b"\\",
    "an unclosed text of quotes among brackets": b"[]" * 60 + b'"' + b'\\"' * 250_000,
    "the same as an event": b'{"a":[' + b"[]," * 60 + b'"' + b'\\"' * 250_000,
    "only brackets": b"[" * 4_000_000,
    "only line ends": b"\n" * 4_000_000 + b"{",
    "an array that breaks at its end": b"[" + b'{"a":[1,{"b":"]"}]},' * 50_000,
}


@pytest.mark.parametrize("body", COSTLY.values(), ids=COSTLY.keys())
def test_a_broken_body_costs_time_in_proportion(agent: Agent, body: bytes) -> None:
    assert agent.send(body).status_code == 200


def test_fifty_thousand_lines_are_one_request(agent: Agent) -> None:
    line = json.dumps(quiet_event()).encode()
    receipt = agent.receipt(b"\n".join([*[line] * 50_000, json.dumps(exec_event()).encode()]))
    assert (receipt["received"], receipt["matched"]) == (50_001, 1)


def test_nobody_may_bring_a_large_body_before_it_is_known_who_they_are(
    anonymous: TestClient,
) -> None:
    body = b'{"reason":"' + b"x" * 2_000_000 + b'"}'
    for method, path in (("POST", "/api/v1/exclusions"), ("PATCH", "/api/v1/alerts/1")):
        answer = anonymous.request(
            method, path, content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413, path
        assert "at most" in answer.json()["detail"]


# ---- requests that no page of ours makes ----

NUMBERS = ("9" * 30, "-" + "9" * 30, str(2**63), str(-(2**63)), "9" * 5_000, "1e3", "٣", "%00")
READ = (
    "/alerts/{}",
    "/exclusions/{}",
    "/exclusions/{}/edit",
    "/matches/{}/event.json",
    "/quarantine/{}/event.bin",
    "/rules/{}",
    "/api/v1/alerts/{}",
    "/api/v1/exclusions/{}",
    "/api/v1/matches/{}/event",
    "/setup/{}",
    "/static/{}",
    "/{}",
)
WRITE: dict[str, dict[str, str]] = {
    "/alerts/{}/status": {"move": "acknowledge"},
    "/alerts/{}/assignee": {"assignee": "ada"},
    "/alerts/{}/comments": {"comment": "x"},
    "/alerts/{}/guide/x": {"done": "yes", "part": "triage"},
    "/exclusions/{}/approve": {},
    "/exclusions/{}/decline": {},
    "/exclusions/{}/end": {},
    "/exclusions/{}/edit": {"submit": "1"},
    "/agents/keys/{}/revoke": {},
    "/users/{}/role": {"role": "admin"},
    "/users/{}/disable": {},
    "/users/{}/enable": {},
    "/users/{}/link": {},
}


def test_a_number_that_no_row_can_have_is_not_found(admin: Person) -> None:
    for number in NUMBERS:
        for path in READ:
            assert admin.get(path.format(number)).status_code == 404, path.format(number)
        for path, data in WRITE.items():
            assert admin.post(path.format(number), data).status_code == 404, path.format(number)


def test_numbers_that_no_row_can_have_are_left_out_of_a_selection(
    agent: Agent, admin: Person
) -> None:
    agent.receipt(exec_event())
    sent = {"alert": [*NUMBERS, "1"], "move": "acknowledge"}
    assert admin.post("/alerts/bulk", sent).status_code == 303
    assert admin.get("/api/v1/alerts/1").json()["status"] == "acknowledged"


def test_a_selection_larger_than_a_page_is_refused_not_cut(agent: Agent, admin: Person) -> None:
    agent.receipt([exec_event("ssh", f"host-{n}") for n in range(51)])
    sent = {"alert": [str(n) for n in range(1, 52)], "move": "acknowledge"}
    answer = admin.post("/alerts/bulk", sent)
    assert "At most 50" in admin.get(answer.headers["location"]).text
    assert admin.get("/api/v1/alerts?status=acknowledged").json()["alerts"] == []


@pytest.mark.parametrize(
    "cursor",
    [
        "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwxXQ",  # ["0001-01-01T00:00:00+14:00",1]
        "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTE0OjAwIiwxXQ",  # ["9999-12-31T23:59:59-14:00",1]
        "WzFlOTk5LDFd",  # [1e999,1]
        "W251bGwsMV0",  # [null,1]
        "e30",  # {}
        "A" * 5_000,
        "é",
    ],
)
def test_a_cursor_that_was_made_up_is_named(admin: Person, cursor: str) -> None:
    for sort in ("time", "priority"):
        query = {"cursor": cursor, "sort": sort}
        shown = admin.client.get("/alerts", params=query)
        assert shown.status_code == 200
        assert "not known" in shown.text
        assert admin.client.get("/api/v1/alerts", params=query).status_code == 422


def test_a_search_longer_than_the_database_takes_is_answered(admin: Person) -> None:
    assert admin.client.get("/audit", params={"what": "a" * 60_000}).status_code == 200


ODD_JSON: dict[str, bytes] = {
    "an alert beyond 64 bits": b'{"from_alert":99999999999999999999999}',
    "a lone surrogate": b'{"reason":"\\ud800","owner":"\\udfff"}',
    "a lone surrogate as a field": b'{"conditions":[{"field":"\\ud800","operator":"is","values":["a"]}]}',
    "a lone surrogate as a key": b'{"\\ud800":1}',
    "NUL": b'{"reason":"\\u0000","conditions":[{"field":"host.name","operator":"is","values":["\\u0000"]}]}',
    "not UTF-8": b'{"reason":"\xff"}',
    "depth": b"[" * 100_000,
    "digits": b'{"from_alert":' + b"9" * 5_000 + b"}",
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "an end beyond the calendar": b'{"ends_at":"9999-12-31T23:59:59-14:00"}',
    "an end out of range": b'{"ends_at":1e999}',
}


@pytest.mark.parametrize("sent", ODD_JSON.values(), ids=ODD_JSON.keys())
def test_odd_json_for_the_api_is_told_what_is_wrong(house: House, sent: bytes) -> None:
    full = {
        "rule_id": "no such rule, so that nothing is made",
        "conditions": [{"field": "host.name", "operator": "is", "values": ["a"]}],
        "reason": "r",
        "owner": "o",
        "ends_at": "2026-12-20T00:00:00Z",
    }
    headers = {"Authorization": f"Bearer {house.admin_key}", "Content-Type": "application/json"}
    whole = json.dumps(full).encode()
    merged = whole[:-1] + b"," + sent[1:] if sent.startswith(b'{"') else sent
    for method, path in (("POST", "/api/v1/exclusions"), ("POST", "/api/v1/exclusions/preview")):
        answer = house.client.request(method, path, content=merged, headers=headers)
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["detail"]
    for path in ("/api/v1/alerts/1", "/api/v1/exclusions/1"):
        answer = house.client.patch(path, content=sent, headers=headers)
        assert answer.status_code in (200, 400, 409, 422), answer.text


def test_a_lone_surrogate_is_kept_as_its_escape(agent: Agent, admin: Person) -> None:
    agent.receipt(exec_event())
    change = b'{"status":"closed","verdict":"false positive","reason":"a\\ud800\\u0000b"}'
    headers = {"X-CSRF-Token": admin.token(), "Content-Type": "application/json"}
    answer = admin.client.patch("/api/v1/alerts/1", content=change, headers=headers)
    assert answer.json()["reason"] == "a\\ud800\\x00b"


HEADERS: list[dict[str, str | bytes]] = [
    {"Origin": "http://["},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "none;", "Origin": "://"},
    {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "#" + "x" * 5_000},
    {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#title"},
    {"Cookie": 'deckwatch="\\012"; deckwatch_theme="\\000"; deckwatch_notice=x.y'},
    {"Cookie": b"deckwatch=\xff\xfe; deckwatch_form=\xed\xa0\x80; deckwatch_notice=\xff.\xff"},
    {"Cookie": 'deckwatch_form="\\012Set-Cookie: a=b"'},
    {"Cookie": "=;=;;" + "a" * 20_000},
    {"Authorization": b"Bearer \xff"},
    {"Authorization": "Basic ===="},
    {"Authorization": "ApiKey " + "A" * 10_000},
    {"X-Forwarded-For": "<script>, \x1b[2J", "X-Forwarded-Proto": "javascript"},
    {"User-Agent": b"\xed\xa0\x80<script>"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": b"text/\xff; charset=utf-99"},
]


@pytest.mark.parametrize("sent", HEADERS, ids=str)
def test_a_header_that_no_browser_sends_is_answered(
    anonymous: TestClient, sent: dict[str, str | bytes]
) -> None:
    raw = {
        name.encode(): value if isinstance(value, bytes) else value.encode("latin-1")
        for name, value in sent.items()
    }
    for method, path in (
        ("GET", "/login"),
        ("POST", "/login"),
        ("GET", "/alerts"),
        ("GET", "/api/v1/alerts"),
        ("POST", "/api/v1/events"),
        ("POST", "/logout"),
    ):
        answer = anonymous.request(
            method, path, headers=raw, content=b"" if method == "POST" else None
        )
        assert answer.status_code < 500, (method, path)
        assert "a=b" not in answer.headers.get("set-cookie", "")


FORMS = [
    b"\xff=\xfe&comment=\xed\xa0\x80",
    b"comment=%ed%a0%80%00&%00=1",
    b"comment=%",
    b"&&&===",
    b"version=%D9%A3&move=acknowledge",
    b"version=" + b"9" * 5_000 + b"&move=acknowledge",
    b"version=-1&move=acknowledge",
    b"a=1&" * 3_000,
    b"comment=" + b"x" * 1_100_000,
    b"add=%5B%22container.id%22%2C%22%5Cud800%22%5D&reason=x",  # ["container.id","\ud800"]
    b"add=" + b"%5B" * 50_000,
    b"field-%00=x&values-%00=y&remove=%00",
]


@pytest.mark.parametrize("sent", FORMS, ids=lambda sent: sent[:30].decode("latin-1"))
def test_a_form_that_no_page_of_ours_sends_is_answered(
    agent: Agent, admin: Person, sent: bytes
) -> None:
    agent.receipt(exec_event())
    body = f"csrf={admin.token()}&".encode() + sent
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("/alerts/1/status", "/alerts/1/comments", "/exclusions", "/users", "/agents/keys"):
        answer = admin.client.post(path, content=body, headers=headers)
        assert answer.status_code < 500, path
        assert "\ud800" not in answer.text


def test_a_form_that_is_not_escaped_is_read_as_utf_8(agent: Agent, admin: Person) -> None:
    agent.receipt(exec_event())
    body = f"csrf={admin.token()}&comment=grüße".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert admin.client.post("/alerts/1/comments", content=body, headers=headers).status_code == 303
    assert admin.get("/api/v1/alerts/1").json()["activity"][0]["comment"] == "grüße"


# ---- many at once, and a database that takes no writes ----


def test_a_burst_of_guesses_counts_as_many_guesses(app: FastAPI, admin: Person) -> None:
    answers: list[int] = []

    def guess() -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get("/login").text)
        assert token is not None
        form = {"csrf": token[1], "name": admin.name, "password": "not the password", "next": ""}
        answers.append(client.post("/login", data=form).status_code)

    guesses = [threading.Thread(target=guess) for _ in range(12)]
    for one in guesses:
        one.start()
    for one in guesses:
        one.join()
    assert Counter(answers) == {403: 5, 429: 7}


def test_a_link_to_sign_in_with_sets_no_password(
    anonymous: TestClient, admin: Person, database: Database, clock: Clock
) -> None:
    link = accounts.make_link(database, Purpose.ENTER, user_id=1, who=COMMAND_LINE, at=clock())
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', anonymous.get("/login").text)
    assert token is not None
    form = {
        "csrf": token[1],
        "name": admin.name,
        "password": "x" + PASSWORD,
        "again": "x" + PASSWORD,
    }
    assert anonymous.post(f"/setup/{link}", data=form).status_code == 404
    assert anonymous.get(f"/setup/{link}").status_code == 303


def test_a_password_that_was_set_anew_meanwhile_is_not_overwritten(
    admin: Person, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = credentials.hash_password

    def set_by_somebody_else(password: str) -> str:
        with database.write() as session:
            user = session.get(User, 1)
            assert user is not None
            user.password_hash = "set by an admin"
            session.add(user)
        return hashed(password)

    monkeypatch.setattr(sessions, "hash_password", set_by_somebody_else)
    new = "another " + PASSWORD
    answer = admin.post("/account/password", {"current": PASSWORD, "password": new, "again": new})
    assert answer.status_code == 422
    assert "changed meanwhile" in answer.text
    with database.read() as session:
        assert session.exec(select(User.password_hash)).one() == "set by an admin"


def test_two_who_close_one_alert_at_once_do_not_both(agent: Agent, admin: Person) -> None:
    agent.receipt(exec_event())
    headers = {"X-CSRF-Token": admin.token()}
    answers: list[int] = []

    def close(verdict: str) -> None:
        change = {"status": "closed", "verdict": verdict, "reason": "x", "version": 1}
        answers.append(
            admin.client.patch("/api/v1/alerts/1", json=change, headers=headers).status_code
        )

    both = [
        threading.Thread(target=close, args=(verdict,))
        for verdict in ("false positive", "true positive")
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(answers) == [200, 409]
    kinds = [row["kind"] for row in admin.get("/api/v1/alerts/1").json()["activity"]]
    assert kinds == ["closed", "opened"]


def test_people_can_read_while_the_database_takes_no_writes(
    agent: Agent,
    admin: Person,
    services: Services,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent.receipt(exec_event())
    clock.forward(minutes=30)  # time to prolong the session, which is a write

    def full() -> None:
        raise Unavailable("The disk is full; nothing was changed. Free some space.")

    monkeypatch.setattr(services.database, "write", full)
    assert admin.get("/alerts").status_code == 200
    assert admin.get("/alerts/1").status_code == 200
    refused = admin.post("/alerts/1/status", {"move": "acknowledge"})
    assert refused.status_code == 503
    assert "Free some space" in refused.text
    answer = agent.send(exec_event())
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    monkeypatch.undo()
    assert admin.post("/alerts/1/status", {"move": "acknowledge"}).status_code == 303


def test_one_set_of_findings_is_told_once_however_often_it_occurs(
    agent: Agent, admin: Person
) -> None:
    forwards = [word for n in range(1, 400) for word in ("-L", f"{n}:h:22")]
    agent.receipt(exec_event("ssh", *forwards, "host"))
    alert = admin.get("/api/v1/alerts/1").json()
    assert len(alert["priority_parts"]) < 20
    assert any("×399" in part["why"] for part in alert["priority_parts"])
    assert "further findings" in admin.get("/alerts/1").text
