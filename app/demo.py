"""A day in a small fleet, told as events that go through the real HTTP endpoint."""

import json
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from app import logs, server
from app.actions import accounts, keys
from app.clock import utc_now
from app.demo_fleet import BROKEN, EVENTS, NAMELESS, Scene, event_of, noise
from app.domain.roles import COMMAND_LINE, Role
from app.main import create_app
from app.settings import Settings, read_settings
from app.setup import opened
from app.store.database import Database
from app.store.people import Purpose

AGENTS = ("fleet-eu", "ci-runners", "cloud-defend", "falco", "tetragon", "tracee")
# A few more each minute, so that the live list moves while somebody looks.
PAUSE_SECONDS = 20.0


def run_demo(port: int, *, say: Callable[[str], None]) -> None:
    """Serve until told to stop; the database lives in a folder that goes with it."""
    bound = server.listen("127.0.0.1", port)
    base_url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="deckwatch-demo-") as folder:
        settings = read_settings(
            database_url=f"sqlite:///{Path(folder) / 'demo.db'}", base_url=base_url
        )
        database = opened(settings, migrate=say)
        link = _people(database, settings)
        story = Story(base_url, _keys(database))
        database.close()
        say(f"Deckwatch demo on {base_url}")
        say(f"Open this link; it signs you in, once:\n\n  {link}\n")
        say("Ctrl-C ends it and removes what it made.")
        # Its reader wants the link above, not a line for each request.
        logs.set_up(settings.log_format, quiet=True)
        story.start()
        try:
            server.run(create_app(settings), bound)
        finally:
            story.stop()


def _people(database: Database, settings: Settings) -> str:
    """A few people, and the link by which one of them, an admin, signs in."""
    at = utc_now()
    made = {
        name: accounts.create_user(database, name, role, password=None, who=COMMAND_LINE, at=at)
        for name, role in (("demo", Role.ADMIN), ("ana", Role.ANALYST), ("ben", Role.ANALYST))
    }
    token = accounts.make_link(
        database, Purpose.ENTER, user_id=made["demo"].id, who=COMMAND_LINE, at=at
    )
    return f"{settings.base_url}/setup/{token}"


def _keys(database: Database) -> dict[str, str]:
    wanted = [(name, Role.AGENT) for name in AGENTS] + [("demo-admin", Role.ADMIN)]
    wanted.append(("demo-analyst", Role.ANALYST))
    return {
        name: keys.create(database, name, role, who=COMMAND_LINE, at=utc_now())[1]
        for name, role in wanted
    }


class Story(threading.Thread):
    """Tells the day, then goes on telling; every word of it is an HTTP request."""

    def __init__(self, base_url: str, held: dict[str, str]) -> None:
        super().__init__(name="demo-story", daemon=True)
        self._base_url = base_url
        self._keys = held
        self._ending = threading.Event()
        self._random = random.Random(20)  # noqa: S311 (the same day at every start)

    def stop(self) -> None:
        self._ending.set()
        self.join(timeout=1)

    def run(self) -> None:
        self._wait_for_server()
        try:
            for agent, batch in self._day():
                if self._ending.is_set():
                    return
                self._send(agent, batch)
            self._work_on_alerts()
            while not self._ending.wait(PAUSE_SECONDS):
                for agent, batch in self._moment():
                    self._send(agent, batch)
        except OSError:
            # Ctrl-C reaches the server first: it takes nothing any more, then stop() is called.
            if not self._ending.wait(server.GRACE_SECONDS):
                raise

    def _wait_for_server(self) -> None:
        while not self._ending.wait(0.05):
            try:
                with urlopen(self._base_url + "/healthz", timeout=1):  # noqa: S310 (our own)
                    return
            except (URLError, OSError):
                continue

    def _day(self) -> Iterator[tuple[str, bytes]]:
        """Batches of (agent, NDJSON): what is worth a look first, then the ordinary processes.

        Whoever opens the link at once finds alerts.
        """
        start = utc_now() - timedelta(hours=24)
        scenes: dict[str, list[bytes]] = {agent: [] for agent in AGENTS}
        for scene in EVENTS:
            for _ in range(scene.times):
                at = start + timedelta(seconds=self._random.uniform(0, 86_000))
                scenes[scene.agent].append(_line(event_of(scene, at, self._random)))
        for agent, told in scenes.items():
            self._random.shuffle(told)
            yield agent, b"\n".join(told)
        for agent in AGENTS:
            for _ in range(3):
                at = start + timedelta(seconds=self._random.uniform(0, 86_000))
                yield agent, b"\n".join(_line(noise(agent, at, self._random)) for _ in range(200))
        yield "fleet-eu", b"\n".join(BROKEN)
        yield "falco", NAMELESS

    def _moment(self) -> Iterator[tuple[str, bytes]]:
        now = datetime.now(UTC)
        for scene in self._random.sample(EVENTS, 2):
            yield scene.agent, _line(event_of(scene, now, self._random))
        for agent in AGENTS:
            yield agent, b"\n".join(_line(noise(agent, now, self._random)) for _ in range(15))

    def _work_on_alerts(self) -> None:
        """What people did that day: taken, closed, excluded."""
        for scene in EVENTS:
            if scene.then is None or self._ending.is_set():
                continue
            found = self._api("GET", f"/api/v1/alerts?container={scene.container}")["alerts"]
            for alert in found[:1]:
                self._act(scene, alert)
        for scene in EVENTS:
            if scene.then == "exclude":
                now = [event_of(scene, utc_now(), self._random) for _ in range(25)]
                self._send(scene.agent, b"\n".join(map(_line, now)))

    def _act(self, scene: Scene, alert: dict[str, Any]) -> None:
        if scene.then in ("exclude", "propose"):
            by = "demo-admin" if scene.then == "exclude" else "demo-analyst"
            self._api("POST", "/api/v1/exclusions", _exclusion(scene, alert), by=by)
        elif scene.then == "acknowledge":
            self._api(
                "PATCH",
                f"/api/v1/alerts/{alert['id']}",
                {"status": "acknowledged", "assignee": "ana"},
            )
        elif scene.then is not None:
            verdict, reason = scene.then.split(": ", 1)
            change = {"status": "closed", "verdict": verdict, "reason": reason}
            self._api("PATCH", f"/api/v1/alerts/{alert['id']}", change)

    def _send(self, agent: str, body: bytes) -> None:
        self._request("POST", "/api/v1/events", self._keys[agent], body, "application/x-ndjson")

    def _api(
        self, method: str, path: str, body: object = None, *, by: str = "demo-admin"
    ) -> dict[str, Any]:
        raw = None if body is None else json.dumps(body).encode()
        answer: dict[str, Any] = json.loads(
            self._request(method, path, self._keys[by], raw, "application/json")
        )
        return answer

    def _request(self, method: str, path: str, key: str, body: bytes | None, kind: str) -> bytes:
        request = Request(  # noqa: S310 (our own server)
            self._base_url + path,
            data=body,
            method=method,
            headers={"Authorization": f"Bearer {key}", "Content-Type": kind},
        )
        with urlopen(request, timeout=10) as response:  # noqa: S310 (our own)
            answer: bytes = response.read()
        return answer


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def _exclusion(scene: Scene, alert: dict[str, Any]) -> dict[str, Any]:
    return {
        "rule_id": alert["rule_id"],
        "conditions": [
            {"field": "container.image.name", "operator": "is", "values": [scene.image]},
            {"field": "orchestrator.namespace", "operator": "is", "values": [scene.namespace]},
            {"field": "process.name", "operator": "is", "values": [scene.args[0]]},
        ],
        "reason": scene.why,
        "owner": scene.owner,
        "ends_at": (utc_now() + timedelta(days=62)).isoformat(),
        "from_alert": alert["id"],
    }
