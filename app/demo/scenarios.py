"""Scenarios of the demo, and builders of the events that the demo's agents send."""

import random
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import msgspec

from app.demo.event_builders import EVENT_BUILDERS, ProcessStart, build_benign_process
from app.domain.alert import Verdict


class FollowUp(StrEnum):
    """Change that the demo makes to the first alert of a scenario."""

    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"
    EXCLUDE = "exclude"
    """An admin creates an exclusion, which is active at once."""
    PROPOSE = "propose"
    """An analyst proposes an exclusion."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A process that starts `count` times in a container. Each line of `scenarios.ndjson` is a scenario.

    The process starts between `hours_ago[0]` and `hours_ago[1]` hours before the demo starts. The follow-up
    CLOSE uses `verdict` and `reason`. The follow-ups EXCLUDE and PROPOSE use `reason` and `owner`.
    """

    agent: str
    hours_ago: tuple[float, float]
    count: int
    host: str
    container: str
    image: str
    tag: str
    namespace: str
    user: str
    parent: tuple[str, ...]
    args: tuple[str, ...]
    follow_up: FollowUp | None = None
    verdict: Verdict | None = None
    reason: str = ""
    owner: str = ""


@cache
def load_scenarios() -> tuple[Scenario, ...]:
    """Return the scenarios of `scenarios.ndjson`."""
    lines = files(__package__).joinpath("scenarios.ndjson").read_text(encoding="utf-8").splitlines()
    decoder = msgspec.json.Decoder(Scenario)
    return tuple(decoder.decode(line) for line in lines)


INVALID_EVENTS = [
    b'{"event":{"category":["process"],"type":["start"]},"process":{"args":["ssh","\xff\xfe"]}}',
    b'{"msg":"hello"}',
    b'{"event":{"category":["process"],"action":"exec"},"process":{"name":"ssh","args":["ssh"',
]

# An event of a Falco rule whose output format lacks %proc.name. Such an event does not name its process.
FALCO_EVENT_WITHOUT_PROCESS_NAME = (
    b'{"hostname":"edge-02","output":"A process in a container","output_fields":{"container.id":'
    b'"5f2c1e0d9b7a","evt.type":"execve","user.name":"root"},"priority":"Notice","rule":'
    b'"Process in a container","source":"syscall","time":"2026-01-01T00:00:00.000000001Z"}'
)

_BENIGN_COMMANDS = (
    ("ls", "-la"), ("curl", "-fsS", "http://127.0.0.1/health"), ("sh", "-c", "date"),
    ("python3", "manage.py", "migrate"), ("cat", "/etc/hosts"), ("node", "server.js"),
    ("pg_isready",), ("git", "status"), ("sleep", "5"), ("nginx", "-t"),
)  # fmt: skip


def build_event(scenario: Scenario, at: datetime, rng: random.Random) -> dict[str, Any]:
    """Build an exec event of `scenario` in the format that the agent `scenario.agent` sends."""
    if scenario.agent in EVENT_BUILDERS:
        run = ProcessStart(
            args=scenario.args,
            parent=scenario.parent,
            host=scenario.host,
            user=scenario.user,
            container=scenario.container,
            image=scenario.image,
            tag=scenario.tag,
            namespace=scenario.namespace,
            at=at,
            pid=rng.randrange(300, 30_000),
        )
        return EVENT_BUILDERS[scenario.agent](run)
    name = scenario.args[0].rpartition("/")[2].partition(":")[0]
    process = {
        "name": name,
        "executable": f"/usr/{'sbin' if name == 'sshd' else 'bin'}/{name}",
        "args": list(scenario.args),
        "args_count": len(scenario.args),
        "pid": rng.randrange(300, 30_000),
        "entity_id": f"{rng.getrandbits(96):024x}",
        "working_directory": "/srv",
        "interactive": scenario.parent == ("bash",),
        "parent": {"name": scenario.parent[0], "args": list(scenario.parent), "pid": 41},
        "entry_leader": {
            "entry_meta": {"type": "container"},
            "name": "containerd-shim",
            "pid": 1,
            "args": ["containerd-shim"],
        },
    }
    container = {
        "id": sha256(scenario.container.encode()).hexdigest(),
        "name": scenario.container,
        "image": {"name": scenario.image, "tag": [scenario.tag]},
    }
    return _with_envelope(scenario.agent, process, scenario.host, scenario.user, at, rng) | {
        "container": container,
        "orchestrator": {"namespace": scenario.namespace, "resource": {"name": scenario.container}},
    }


def build_benign_event(agent: str, at: datetime, rng: random.Random) -> dict[str, Any]:
    """Build an event of an ordinary process, which matches no rule."""
    args = rng.choice(_BENIGN_COMMANDS)
    if agent in EVENT_BUILDERS:
        return EVENT_BUILDERS[agent](build_benign_process(args, at, rng))
    process = {
        "name": args[0],
        "executable": f"/usr/bin/{args[0]}",
        "args": list(args),
        "pid": rng.randrange(300, 30_000),
        "entity_id": f"{rng.getrandbits(96):024x}",
        "parent": {"name": "sh", "pid": 40},
        "entry_leader": {"entry_meta": {"type": rng.choice(("container", "init", "sshd"))}},
    }
    return _with_envelope("fleet-eu", process, f"node-{rng.randrange(1, 22):02}", "app", at, rng)


def _with_envelope(
    agent: str,
    process: dict[str, Any],
    host: str,
    user: str,
    at: datetime,
    rng: random.Random,
) -> dict[str, Any]:
    event: dict[str, Any] = {
        "category": ["process"],
        "type": ["start"],
        "action": "exec",
        "kind": "event",
        "id": f"{rng.getrandbits(96):024x}",
    }
    envelope: dict[str, Any] = {"@timestamp": at.isoformat(), "user": {"name": user}}
    if agent == "cloud-defend":
        # Elastic Cloud Defend sends a list of actions, flat keys such as "host.name", and no command line.
        event["action"] = ["fork", "exec"]
        return envelope | {
            "event": event,
            "process": process,
            "host.os.type": "linux",
            "host.name": host,
        }
    process["command_line"] = " ".join(process["args"])
    return envelope | {
        "event": event,
        "process": process,
        "host": {"name": host, "os": {"type": "linux", "name": "Linux"}},
        "agent": {"type": "endpoint", "version": "9.2.0"},
        "ecs": {"version": "9.1.0"},
    }
