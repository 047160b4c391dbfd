"""Factories of test events in the format of Elastic Defend."""

import itertools
from typing import Any

_numbers = itertools.count(1)

SSH = ("ssh", "-p", "2222", "deploy@10.42.3.17", "uptime")


def exec_event(
    *args: str,
    name: str | None = None,
    container: str = "web-5c6b",
    host: str = "node-11",
    user: str = "nginx",
    image: str = "shop/web",
    namespace: str = "prod",
    entry: str = "container",
    event_id: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return an exec event in a container. Without `args`, the process is an `ssh` to 10.42.3.17."""
    number = next(_numbers)
    words = list(args or SSH)
    return {
        "@timestamp": "2026-11-24T11:59:58.123456789Z",
        "event": {
            "id": event_id or f"event-{number}",
            "kind": "event",
            "category": ["process"],
            "type": ["start"],
            "action": "exec",
        },
        "host": {"name": host, "os": {"type": "linux"}},
        "user": {"name": user, "id": 101},
        "container": {
            "id": f"{container}-id",
            "name": container,
            "image": {"name": image, "tag": ["9.1"]},
        },
        "orchestrator": {"namespace": namespace, "resource": {"name": f"{container}-pod"}},
        "process": {
            "name": name or words[0].rpartition("/")[2],
            "executable": f"/usr/bin/{words[0].rpartition('/')[2]}",
            "args": words,
            "pid": 4000 + number,
            "parent": {"name": "bash", "executable": "/bin/bash", "pid": 41, "args": ["bash"]},
            "entry_leader": {"pid": 1, "name": "nginx", "entry_meta": {"type": entry}},
        },
    } | more


def benign_event(**more: Any) -> dict[str, Any]:
    """Return an event that no rule matches."""
    return exec_event("ls", "-la", **more)
