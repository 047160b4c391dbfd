"""An application that has stored all hostile events, and checks of the HTML of its pages."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi import FastAPI
from sqlmodel import select
from starlette.testclient import TestClient

from app.actions import api_keys, users
from app.bootstrap import open_migrated_database
from app.domain.principal import CLI_PRINCIPAL, Role
from app.domain.text import is_invisible
from app.main import create_app
from app.settings import read_settings
from app.store.database import Database
from app.store.tables import Alert, Match
from app.store.users import LinkPurpose
from tests.conftest import ORIGIN, FakeClock
from tests.factories import exec_event
from tests.hostile_input.text import HOSTILE, hostile_event


class Page(HTMLParser):
    """The tags, attributes and scripts of a page, and the targets of its links and forms."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[tuple[str, str]] = set()
        self.targets: set[str] = set()
        self.scripts: list[str] = []
        self.counts: Counter[str] = Counter()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] += 1
        self.tags.add((tag, ""))
        for name, value in attrs:
            self.tags.add((tag, name))
            if name in ("href", "src", "action", "hx-get", "hx-post", "hx-sse:connect"):
                self.targets.add(value or "")
        if tag == "script":
            self.scripts.append(dict(attrs).get("src") or "inline")


@dataclass
class HostileApp:
    """An application that has stored all hostile events. `client` is signed in as an admin."""

    app: FastAPI
    client: TestClient
    admin_key: str
    agent_key: str
    alerts: dict[str, int]
    baseline_tags: set[tuple[str, str]] = field(default_factory=set)
    baseline_targets: set[str] = field(default_factory=set)

    def get(self, path: str, **headers: str) -> str:
        answer = self.client.get(path, headers=headers)
        assert answer.status_code == 200, (path, answer.status_code)
        return str(answer.text)

    def record_baseline(self, path: str) -> None:
        page = Page(self.get(path))
        self.baseline_tags |= page.tags
        self.baseline_targets |= page.targets

    def check_page(self, path: str, **headers: str) -> str:
        """Return the page. Check that it has only tags, scripts and targets that harmless pages have too."""
        html = self.get(path, **headers)
        page = Page(html)
        assert page.tags - self.baseline_tags == set(), path
        assert all(script.startswith("/static/") for script in page.scripts), path
        assert "<script" not in re.sub(r'<script src="/static/', "", html), path
        external_targets = {
            target
            for target in page.targets - self.baseline_targets
            if not target.startswith(("/", "#", "?")) or target.startswith("//")
        }
        assert external_targets == set(), path
        # Form values are not checked, because a form must send back each character unchanged.
        text = re.sub(r"(?s)<textarea.*?</textarea>|(?<= )value=\"[^\"]*\"", "", html)
        invisible_characters = {
            f"U+{ord(c):04X}" for c in set(text) if c != "\n" and is_invisible(c)
        }
        assert invisible_characters == set(), path
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


@pytest.fixture(scope="session")
def hostile_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileApp]:
    folder = tmp_path_factory.mktemp("hostile")
    settings = read_settings(database_url=f"sqlite:///{folder / 'deckwatch.db'}")
    database = open_migrated_database(settings, on_migrated=lambda _: None)
    clock = FakeClock()
    user = users.create_user(
        database, "ada", Role.ADMIN, password=None, principal=CLI_PRINCIPAL, at=clock()
    )
    link = users.create_link(
        database, LinkPurpose.SIGN_IN, user_id=user.id, principal=CLI_PRINCIPAL, at=clock()
    )
    made = {
        role: api_keys.create(database, f"{role}-key", role, principal=CLI_PRINCIPAL, at=clock())[1]
        for role in (Role.AGENT, Role.ADMIN)
    }
    app = create_app(settings, clock=clock)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        assert client.get(f"/setup/{link}").status_code == 303
        found = HostileApp(app, client, made[Role.ADMIN], made[Role.AGENT], {})
        _record_baseline(found)
        _send_hostile_events(found, database)
        yield found
    database.close()


def _record_baseline(hostile_app: HostileApp) -> None:
    """Record the tags and targets of every page with events that cause findings but contain no markup."""
    labels = {"id": "a", "name": "b", "image": {"name": "x"}, "labels": {"a": "é\u202e"}}
    hostile_app.send(
        exec_event("ssh", "-A", "-o", "StrictHostKeyChecking=no", "-R", "1:h:2", "root@é\u202e"),
        exec_event("ssh", *["-v"] * 600, "-N", "h", entry="container") | {"container": labels},
    )
    hostile_app.client.post(
        "/api/v1/events",
        content='{"é\u202e'.encode() + b"\xff" * 5_000,
        headers={"Authorization": f"Bearer {hostile_app.agent_key}"},
    )
    propose(hostile_app, "a-host")
    hostile_app.send(exec_event(host="a-host"))
    for path in ("/alerts", "/alerts/1", "/alerts/2", "/exclusions/new?alert=2", "/exclusions"):
        hostile_app.record_baseline(path)
    for path in ("/alerts?host=x", "/exclusions/1", "/agents", "/audit", "/", "/rules", "/users"):
        hostile_app.record_baseline(path)
    for path in ("/agents/1", "/quarantine", "/quarantine/1", "/quarantine/1?from=2048"):
        hostile_app.record_baseline(path)
    hostile_app.baseline_tags |= {("hx-partial", name) for name in ("", "hx-target", "hx-swap")}
    hostile_app.baseline_tags.add(("br", ""))  # in a reason with several lines


def _send_hostile_events(hostile_app: HostileApp, database: Database) -> None:
    for start in range(0, len(HOSTILE), 20):
        some = HOSTILE[start : start + 20]
        receipt = hostile_app.send(
            *(hostile_event(text, f"hostile-{start + n}") for n, text in enumerate(some))
        )
        assert (receipt["matched"], receipt["rejected"]) == (len(some), [])
    with database.read() as session:
        rows = session.exec(select(Match.event_id, Match.alert_id))
        hostile_app.alerts = {event_id: alert_id or 0 for event_id, alert_id in rows}


def propose(hostile_app: HostileApp, host: str, **more: Any) -> Any:
    """Create an exclusion for a host through the API and return the response."""
    with hostile_app.app.state.services.database.read() as session:
        rule_id = session.exec(select(Alert.rule_id)).first()
    wanted = {
        "rule_id": rule_id,
        "conditions": [{"field": "host.name", "operator": "is", "values": [host]}],
        "reason": "known",
        "owner": "ops",
        "ends_at": "2026-12-20T00:00:00Z",
    }
    # The `json` parameter of httpx is not used, because it refuses lone surrogates.
    return hostile_app.client.post(
        "/api/v1/exclusions",
        content=json.dumps(wanted | more).encode(),
        headers={
            "Authorization": f"Bearer {hostile_app.admin_key}",
            "Content-Type": "application/json",
        },
    )
