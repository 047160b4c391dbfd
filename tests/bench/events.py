"""The process events of the benchmark, in the format and size (3.1 KB) of Elastic Defend's ECS events.

All figures use the same events. They have more than 200 process names, drawn as unevenly as on real hosts:
the most common name is in one of six events, and two thirds of the names are in fewer than one of 500.
`event.category`, `event.type` and `process.args` are lists, as the agent sends them. One event in 100 is an
ssh in a container. One in ten of these has a destination that `write_stamps` changes, so that it opens a
new alert; the others are added to existing alerts.
"""

import json
import re
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Any

from tests.bench.vocabulary import FOLDERS, NAMES, PARENTS, SCRIPTS, SHELLS, WORDS, seeded_random

MATCHING_EVERY = 100
OPENING_EVERY = 10
# Digits in event ids and in destinations. The sender overwrites them, so that no event is a duplicate.
STAMP = b"0" * 12
_STAMPS = re.compile(rb"stamp-(0{12})")


def events(count: int, *, seed: int = 1) -> list[bytes]:
    """Return `count` events. One in a hundred is an ssh in a container."""
    rng = seeded_random(seed)
    weights = list(accumulate(1 / (rank + 1) for rank in range(len(NAMES))))
    made = []
    for number in range(count):
        if number % MATCHING_EVERY == MATCHING_EVERY // 2:
            opening = (number // MATCHING_EVERY + seed) % OPENING_EVERY == 0
            made.append(_encoded(_ssh(rng, number, opening=opening)))
        else:
            [name] = rng.choices(NAMES, cum_weights=weights)
            made.append(_encoded(_ordinary(rng, number, name)))
    return made


def stamp_offsets(body: bytes | bytearray) -> list[int]:
    """Return the offsets of the stamps in a body."""
    return [found.start(1) for found in _STAMPS.finditer(body)]


def write_stamps(body: bytearray, places: Sequence[int], number: int) -> None:
    """Overwrite the stamps at `places` with `number`."""
    stamp = b"%0*d" % (len(STAMP), number)
    for place in places:
        body[place : place + len(STAMP)] = stamp


def process_event(
    rng: Random,
    number: int,
    *,
    args: Sequence[str],
    executable: str,
    parent: str,
    parent_executable: str,
    container: bool,
    event_id: str,
    system: str = "linux",
) -> dict[str, Any]:
    """Return an exec event. The other fields get random values."""
    name = executable.rpartition("/")[2]
    host = f"node-{rng.randrange(40):02}"
    entity = f"{rng.getrandbits(200):050x}"
    user = {
        "name": rng.choice(("root", "app", "www-data", "postgres")),
        "id": rng.randrange(1000),
    }
    start = f"2026-11-24T11:{number // 60 % 60:02}:{number % 60:02}.{rng.randrange(10**6):06}Z"
    leader = {
        "interactive": False,
        "start": start,
        "pid": rng.randrange(1, 30_000),
        "working_directory": "/srv/app",
        "entity_id": entity,
        "executable": "/usr/bin/containerd-shim",
        "args": ["containerd-shim", "-namespace", "k8s.io"],
        "name": "containerd-shim",
        "args_count": 3,
        "user": user,
    }
    event: dict[str, Any] = {
        "agent": {"id": f"{rng.getrandbits(128):032x}", "type": "endpoint", "version": "8.17.0"},
        "process": {
            "Ext": {"ancestry": [f"{rng.getrandbits(240):060x}" for _ in range(2)]},
            "parent": leader
            | {
                "executable": parent_executable,
                "name": parent,
                "args": [parent],
                "args_count": 1,
                "command_line": parent,
            },
            "group_leader": leader,
            "interactive": rng.random() < 0.1,
            "start": start,
            "pid": rng.randrange(1, 30_000),
            "working_directory": "/srv/app",
            "entity_id": entity,
            "executable": executable,
            "args": list(args),
            "session_leader": leader,
            "entry_leader": leader
            | {"entry_meta": {"type": "container" if container else rng.choice(("sshd", "init"))}},
            "name": name,
            "tty": {"char_device": {"major": 136, "minor": rng.randrange(9)}},
            "args_count": len(args),
            "command_line": " ".join(args),
            "hash": {"sha256": f"{rng.getrandbits(256):064x}"},
        },
        "message": "Endpoint process event",
        "@timestamp": start,
        "ecs": {"version": "8.10.0"},
        "data_stream": {
            "namespace": "default",
            "type": "logs",
            "dataset": "endpoint.events.process",
        },
        "host": {
            "hostname": host,
            "os": {
                "Ext": {"variant": "Debian"},
                "kernel": "6.1.0-28-amd64",
                "name": "Linux",
                "family": "debian",
                "type": system,
                "version": "12.8",
                "platform": "debian",
                "full": "Debian 12.8",
            },
            "ip": ["127.0.0.1", "::1", f"10.0.2.{rng.randrange(250)}", "fe80::b6:64ff:fef1:a5f0"],
            "name": host,
            "id": f"{rng.getrandbits(128):032x}",
            "mac": ["02-b6-64-f1-a5-f0"],
            "architecture": "x86_64",
        },
        "event": {
            "sequence": number,
            "ingested": start,
            "created": start,
            "kind": "event",
            "module": "endpoint",
            "action": "exec",
            "id": event_id,
            "category": ["process"],
            "type": ["start"],
            "dataset": "endpoint.events.process",
        },
        "user": user,
        "group": {"name": user["name"], "id": user["id"]},
    }
    if container:
        pod = rng.randrange(60)
        event["container"] = {
            "id": f"{pod:064x}",
            "name": f"web-{pod}",
            "image": {"name": f"registry.example.org/shop/web-{pod % 12}", "tag": ["9.1"]},
        }
        event["orchestrator"] = {
            "namespace": "prod",
            "resource": {"name": f"web-{pod}-5c6b7", "type": "pod"},
        }
    return event


def _ordinary(rng: Random, number: int, name: str) -> dict[str, Any]:
    parent = rng.choice(PARENTS)
    arguments = (
        ["-c", rng.choice(SCRIPTS)] if name in SHELLS else rng.choices(WORDS, k=rng.randrange(4))
    )
    args = [name, *arguments]
    return process_event(
        rng,
        number,
        args=args,
        executable=f"{rng.choice(FOLDERS)}/{name}",
        parent=parent,
        parent_executable=f"/usr/bin/{parent}",
        container=rng.random() < 0.6,
        event_id=f"{rng.getrandbits(96):024x}",
    )


def _ssh(rng: Random, number: int, *, opening: bool) -> dict[str, Any]:
    where = f"stamp-{STAMP.decode()}.example.org" if opening else f"10.42.3.{number // 100 % 200}"
    return process_event(
        rng,
        number,
        args=["ssh", "-p", "2222", f"deploy@{where}", "uptime"],
        executable="/usr/bin/ssh",
        parent="bash",
        parent_executable="/bin/bash",
        container=True,
        event_id=f"{number:06}-stamp-{STAMP.decode()}",
    )


def _encoded(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()
