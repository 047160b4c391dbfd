"""Builders of process events for the demo, in the formats of Falco, Tetragon and Tracee."""

import random
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

USER_IDS = {"root": 0, "postfix": 89, "airflow": 50_000, "app": 1_000}


@dataclass(frozen=True, slots=True)
class ProcessStart:
    """A process start in a container.

    `at` is timezone-aware. `args` and `parent` are the arguments of the process and of its parent process,
    including argv[0].
    """

    args: tuple[str, ...]
    parent: tuple[str, ...]
    host: str
    user: str
    container: str
    image: str
    tag: str
    namespace: str
    at: datetime
    pid: int

    @property
    def name(self) -> str:
        return self.args[0].rpartition("/")[2]

    @property
    def path(self) -> str:
        return f"/usr/{'sbin' if self.name == 'sshd' else 'bin'}/{self.name}"

    @property
    def container_id(self) -> str:
        return sha256(self.container.encode()).hexdigest()

    @property
    def nanoseconds(self) -> int:
        return round(self.at.timestamp() * 1_000_000) * 1_000 + self.pid % 1_000

    @property
    def time(self) -> str:
        """The time of the start in RFC 3339 format with nine decimals, as agents send it."""
        return f"{self.at:%Y-%m-%dT%H:%M:%S}.{self.nanoseconds % 1_000_000_000:09}Z"


def _falco_event(run: ProcessStart) -> dict[str, Any]:
    joined = " ".join(run.args[1:])
    line = f"{run.name} {joined}".rstrip()
    return {
        "hostname": run.host,
        "output": f"{run.time[11:29]}: Notice Process in a container (command={line} "
        f"user={run.user} container={run.container})",
        "output_fields": {
            "container.id": run.container_id[:12],
            "container.image.repository": run.image,
            "container.image.tag": run.tag,
            "container.name": run.container,
            "evt.time": run.nanoseconds,
            "evt.type": "execve",
            "k8s.ns.name": run.namespace,
            "k8s.pod.name": run.container,
            "proc.args": joined,
            "proc.cmdline": line,
            "proc.exepath": run.path,
            "proc.name": run.name[:15],
            "proc.pcmdline": " ".join(run.parent),
            "proc.pid": run.pid,
            "proc.pname": run.parent[0],
            "proc.ppid": 41,
            "proc.tty": 34_816 if run.parent == ("bash",) else 0,
            "user.name": run.user,
            "user.uid": USER_IDS[run.user],
        },
        "priority": "Notice",
        "rule": "Process in a container",
        "source": "syscall",
        "tags": ["container", "process"],
        "time": run.time,
    }


def _tetragon_event(run: ProcessStart) -> dict[str, Any]:
    def exec_id(pid: int) -> str:
        return b64encode(f"{run.host}:{run.nanoseconds - pid}:{pid}".encode()).decode()

    def joined(args: tuple[str, ...]) -> str:
        return " ".join(f'"{arg}"' if " " in arg else arg for arg in args)

    pod = {
        "namespace": run.namespace,
        "name": run.container,
        "container": {
            "id": f"containerd://{run.container_id}",
            "name": run.container,
            "image": {"name": f"{run.image}:{run.tag}"},
        },
    }
    process = {
        "exec_id": exec_id(run.pid),
        "pid": run.pid,
        "uid": USER_IDS[run.user],
        "cwd": "/srv",
        "binary": run.path,
        "arguments": joined(run.args[1:]),
        "flags": "execve clone",
        "start_time": run.time,
        "pod": pod,
        "docker": run.container_id[:31],
        "parent_exec_id": exec_id(41),
    }
    parent = {
        "exec_id": exec_id(41),
        "pid": 41,
        "uid": USER_IDS[run.user],
        "binary": f"/usr/bin/{run.parent[0]}",
        "arguments": joined(run.parent[1:]),
        "pod": pod,
    }
    return {
        "process_exec": {"process": process, "parent": parent},
        "node_name": run.host,
        "time": run.time,
    }


def _tracee_event(run: ProcessStart) -> dict[str, Any]:
    return {
        "timestamp": run.nanoseconds,
        "processId": run.pid % 300,
        "hostProcessId": run.pid,
        "parentProcessId": 9,
        "hostParentProcessId": 41,
        "userId": USER_IDS[run.user],
        "processName": run.name[:15],
        "executable": {"path": run.path},
        "hostName": run.host,
        "containerId": run.container_id,
        "container": {
            "id": run.container_id,
            "name": run.container,
            "image": f"{run.image}:{run.tag}",
        },
        "kubernetes": {"podName": run.container, "podNamespace": run.namespace},
        "eventId": "715",
        "eventName": "sched_process_exec",
        "processEntityId": run.nanoseconds % 4_294_967_291,
        "parentEntityId": 1_046_207_513,
        "args": [
            {"name": "pathname", "type": "const char*", "value": run.path},
            {"name": "argv", "type": "const char**", "value": list(run.args)},
        ],
    }


EVENT_BUILDERS: Mapping[str, Callable[[ProcessStart], dict[str, Any]]] = {
    "falco": _falco_event,
    "tetragon": _tetragon_event,
    "tracee": _tracee_event,
}


def build_benign_process(args: tuple[str, ...], at: datetime, rng: random.Random) -> ProcessStart:
    """Build the start of a harmless process in a random container, `shop-1` to `shop-5`.

    `args` are the arguments of the process, including argv[0].
    """
    number = rng.randrange(1, 6)
    return ProcessStart(
        args=args,
        parent=("sh",),
        host=f"node-{rng.randrange(1, 22):02}",
        user="app",
        container=f"shop-{number}",
        image="shop/web",
        tag="9.1",
        namespace="prod",
        at=at,
        pid=rng.randrange(300, 30_000),
    )
