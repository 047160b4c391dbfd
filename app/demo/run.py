"""Demo server: a temporary database, a day of sample events, then live events.

The users and API keys are created directly in the database. All other data is sent through the HTTP API.
"""

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
from app.actions import api_keys, users
from app.bootstrap import open_migrated_database
from app.clock import utc_now
from app.demo.scenarios import (
    FALCO_EVENT_WITHOUT_PROCESS_NAME,
    INVALID_EVENTS,
    FollowUp,
    Scenario,
    build_benign_event,
    build_event,
    load_scenarios,
)
from app.domain.principal import CLI_PRINCIPAL, Role
from app.main import create_app
from app.settings import Settings, read_settings
from app.store.database import Database
from app.store.users import LinkPurpose

AGENTS = ("fleet-eu", "ci-runners", "cloud-defend", "falco", "tetragon", "tracee")
# Interval between live batches. It is short, so that users see how the alert list changes.
LIVE_INTERVAL_SECONDS = 20.0


def run_demo(port: int, *, echo: Callable[[str], None]) -> None:
    """Serve the demo until interrupted; the temporary database is deleted at the end."""
    listener = server.open_listening_socket("127.0.0.1", port)
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="deckwatch-demo-") as folder:
        settings = read_settings(
            database_url=f"sqlite:///{Path(folder) / 'demo.db'}", base_url=base_url
        )
        database = open_migrated_database(settings, on_migrated=echo)
        link = _create_users(database, settings)
        traffic = DemoTraffic(base_url, _create_api_keys(database))
        database.close()
        echo(f"Deckwatch demo on {base_url}")
        echo(f"Open this link to sign in. It works once:\n\n  {link}\n")
        echo("Press Ctrl-C to stop the demo and delete its data.")
        # Only warnings and errors are logged, because request logs would scroll the link out of view.
        logs.configure_logging(settings.log_format, quiet=True)
        traffic.start()
        try:
            server.run(create_app(settings), listener)
        finally:
            traffic.stop()


def _create_users(database: Database, settings: Settings) -> str:
    """Create the demo users and return a sign-in link for the admin."""
    now = utc_now()
    demo_users = {
        name: users.create_user(
            database, name, role, password=None, principal=CLI_PRINCIPAL, at=now
        )
        for name, role in (("demo", Role.ADMIN), ("ana", Role.ANALYST), ("ben", Role.ANALYST))
    }
    token = users.create_link(
        database,
        LinkPurpose.SIGN_IN,
        user_id=demo_users["demo"].id,
        principal=CLI_PRINCIPAL,
        at=now,
    )
    return f"{settings.base_url}/setup/{token}"


def _create_api_keys(database: Database) -> dict[str, str]:
    roles = dict.fromkeys(AGENTS, Role.AGENT)
    roles |= {"demo-admin": Role.ADMIN, "demo-analyst": Role.ANALYST}
    return {
        name: api_keys.create(database, name, role, principal=CLI_PRINCIPAL, at=utc_now())[1]
        for name, role in roles.items()
    }


class DemoTraffic(threading.Thread):
    """Thread that sends a day of events, triages some alerts, and then sends live events until `stop`."""

    def __init__(self, base_url: str, api_keys: dict[str, str]) -> None:
        super().__init__(name="demo-traffic", daemon=True)
        self._base_url = base_url
        self._api_keys = api_keys
        self._stop_requested = threading.Event()
        self._random = random.Random(20)  # noqa: S311 (a fixed seed gives the same demo each time)

    def stop(self) -> None:
        self._stop_requested.set()
        self.join(timeout=1)

    def run(self) -> None:
        self._wait_for_server()
        try:
            for agent, batch in self._initial_batches():
                if self._stop_requested.is_set():
                    return
                self._post_events(agent, batch)
            self._triage_alerts()
            while not self._stop_requested.wait(LIVE_INTERVAL_SECONDS):
                for agent, batch in self._live_batches():
                    self._post_events(agent, batch)
        except OSError:
            # After Ctrl-C, the server refuses requests shortly before `stop` is called. Therefore this thread
            # waits for `stop`. If `stop` is called in time, the error is ignored. Otherwise the error has
            # another cause and is raised again.
            if not self._stop_requested.wait(server.SHUTDOWN_GRACE_SECONDS):
                raise

    def _wait_for_server(self) -> None:
        while not self._stop_requested.wait(0.05):
            try:
                with urlopen(self._base_url + "/healthz", timeout=1):  # noqa: S310 (our own server)
                    return
            except (URLError, OSError):
                continue

    def _initial_batches(self) -> Iterator[tuple[str, bytes]]:
        """Yield the events of the past 24 hours in batches (agent, NDJSON).

        The events of the scenarios are first, so that alerts exist when the user opens the sign-in link.
        """
        now = utc_now()
        batches: dict[str, list[bytes]] = {agent: [] for agent in AGENTS}
        for scenario in load_scenarios():
            for _ in range(scenario.count):
                at = now - timedelta(hours=self._random.uniform(*scenario.hours_ago))
                batches[scenario.agent].append(
                    _to_json_line(build_event(scenario, at, self._random))
                )
        for agent, lines in batches.items():
            self._random.shuffle(lines)
            yield agent, b"\n".join(lines)
        for agent in AGENTS:
            for _ in range(3):
                at = now - timedelta(hours=self._random.uniform(24, 0.1))
                yield (
                    agent,
                    b"\n".join(
                        _to_json_line(build_benign_event(agent, at, self._random))
                        for _ in range(200)
                    ),
                )
        yield "fleet-eu", b"\n".join(INVALID_EVENTS)
        yield "falco", FALCO_EVENT_WITHOUT_PROCESS_NAME

    def _live_batches(self) -> Iterator[tuple[str, bytes]]:
        now = datetime.now(UTC)
        for scenario in self._random.sample(load_scenarios(), 2):
            yield scenario.agent, _to_json_line(build_event(scenario, now, self._random))
        for agent in AGENTS:
            yield (
                agent,
                b"\n".join(
                    _to_json_line(build_benign_event(agent, now, self._random)) for _ in range(15)
                ),
            )

    def _triage_alerts(self) -> None:
        """Apply the follow-up of each scenario to one alert.

        For example, the follow-up CLOSE closes the alert. The alert is the first alert that the API lists for
        the container of the scenario. Scenarios without a follow-up are skipped.

        The follow-up EXCLUDE creates an exclusion. At the end, this method sends more events for each
        scenario with this follow-up. The exclusion suppresses the matches of these events.
        """
        for scenario in load_scenarios():
            if scenario.follow_up is None or self._stop_requested.is_set():
                continue
            path = f"/api/v1/alerts?container={scenario.container}"
            for alert in self._call_api("GET", path)["alerts"][:1]:
                self._triage(scenario, scenario.follow_up, alert)
        for scenario in load_scenarios():
            if scenario.follow_up is FollowUp.EXCLUDE:
                # The new exclusion suppresses the matches of these events.
                events = [build_event(scenario, utc_now(), self._random) for _ in range(25)]
                self._post_events(scenario.agent, b"\n".join(map(_to_json_line, events)))

    def _triage(self, scenario: Scenario, follow_up: FollowUp, alert: dict[str, Any]) -> None:
        path = f"/api/v1/alerts/{alert['id']}"
        match follow_up:
            case FollowUp.ACKNOWLEDGE:
                self._call_api("PATCH", path, {"status": "acknowledged", "assignee": "ana"})
            case FollowUp.CLOSE:
                verdict, reason = scenario.verdict, scenario.reason
                change = {"status": "closed", "verdict": verdict, "reason": reason}
                self._call_api("PATCH", path, change)
            case FollowUp.EXCLUDE | FollowUp.PROPOSE:
                is_active = follow_up is FollowUp.EXCLUDE
                self._call_api(
                    "POST",
                    "/api/v1/exclusions",
                    _exclusion_request(scenario, alert),
                    api_key_name="demo-admin" if is_active else "demo-analyst",
                )

    def _post_events(self, agent: str, body: bytes) -> None:
        self._request("POST", "/api/v1/events", self._api_keys[agent], body, "application/x-ndjson")

    def _call_api(
        self, method: str, path: str, body: object = None, *, api_key_name: str = "demo-admin"
    ) -> dict[str, Any]:
        raw = None if body is None else json.dumps(body).encode()
        response: dict[str, Any] = json.loads(
            self._request(method, path, self._api_keys[api_key_name], raw, "application/json")
        )
        return response

    def _request(
        self, method: str, path: str, key: str, body: bytes | None, content_type: str
    ) -> bytes:
        request = Request(  # noqa: S310 (our own server)
            self._base_url + path,
            data=body,
            method=method,
            headers={"Authorization": f"Bearer {key}", "Content-Type": content_type},
        )
        with urlopen(request, timeout=10) as response:  # noqa: S310 (our own server)
            content: bytes = response.read()
        return content


def _to_json_line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def _exclusion_request(scenario: Scenario, alert: dict[str, Any]) -> dict[str, Any]:
    return {
        "rule_id": alert["rule_id"],
        "conditions": [
            {"field": "container.image.name", "operator": "is", "values": [scenario.image]},
            {"field": "orchestrator.namespace", "operator": "is", "values": [scenario.namespace]},
            {"field": "process.name", "operator": "is", "values": [scenario.args[0]]},
        ],
        "reason": scenario.reason,
        "owner": scenario.owner,
        "ends_at": (utc_now() + timedelta(days=62)).isoformat(),
        "from_alert": alert["id"],
    }
