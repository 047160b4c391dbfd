"""Conversion of Tetragon events to ECS: fields, joined arguments, flags and other event kinds."""

from typing import Any

import pytest

from app.domain.ecs_fields import field_values
from app.domain.event import event_from_ecs
from app.formats import EventParseError, normalise
from tests.agent_events import CONTAINER_ID, NODE, tetragon

POD = tetragon()["process_exec"]["process"]["pod"]

FIELDS: dict[str, list[Any]] = {
    "@timestamp": ["2026-11-24T11:59:58.123456789Z"],
    "event.id": ["bm9kZS0xMToxMzU0ODY3NDMyMTM3Mzo0MTc3"],
    "event.kind": ["event"],
    "event.category": ["process"],
    "event.type": ["start"],
    "event.action": ["exec"],
    "agent.type": ["tetragon"],
    "host.name": [NODE],
    "host.os.type": ["linux"],
    "container.id": [CONTAINER_ID],
    "container.runtime": ["containerd"],
    "container.name": ["web"],
    "container.image.name": ["registry.example:5000/shop/web"],
    "container.image.tag": ["9.1"],
    "container.image.hash.all": [f"sha256:{'ab' * 32}"],
    "orchestrator.namespace": ["prod"],
    "orchestrator.resource.name": ["web-5c6b-x7k2p"],
    "process.name": ["ssh"],
    "process.executable": ["/usr/bin/ssh"],
    "process.args": ["/usr/bin/ssh", "-p", "2222", "deploy@10.42.3.17", "uptime -p"],
    "process.command_line": ['/usr/bin/ssh -p 2222 deploy@10.42.3.17 "uptime -p"'],
    "process.pid": [4177],
    "process.entity_id": ["bm9kZS0xMToxMzU0ODY3NDMyMTM3Mzo0MTc3"],
    "process.working_directory": ["/srv"],
    "process.parent.name": ["bash"],
    "process.parent.pid": [41],
    "process.parent.args": ["/bin/bash", "-c", "ssh -p 2222 deploy@10.42.3.17"],
    "process.parent.entity_id": ["bm9kZS0xMToxMzU0ODY3MDg4MzI5OTo0MQ=="],
    "process.entry_leader.entry_meta.type": [],
    "user.id": ["101"],
    "user.name": [],
}


@pytest.mark.parametrize(("field", "expected"), FIELDS.items(), ids=FIELDS.keys())
def test_an_exec_event_sets_the_ecs_field(field: str, expected: list[Any]) -> None:
    assert field_values(normalise(tetragon()), field) == expected


VARIANTS: dict[str, tuple[dict[str, Any], str, list[Any]]] = {
    "outside Kubernetes": (tetragon(without=("pod",)), "container.id", [CONTAINER_ID[:31]]),
    "on the host": (tetragon(without=("pod", "docker")), "container.id", []),
    "a Docker id prefix": (
        tetragon(pod={**POD, "container": {"id": "docker://86eb"}}),
        "container.id",
        ["86eb"],
    ),
    "no id prefix": (tetragon(pod={**POD, "container": {"id": "86eb"}}), "container.id", ["86eb"]),
    "a pod without its container": (
        tetragon(pod={"namespace": "prod", "name": "x"}),
        "container.id",
        [CONTAINER_ID[:31]],
    ),
    "no arguments": (tetragon(without=("arguments",)), "process.args", ["/usr/bin/ssh"]),
    "user id 0": (tetragon(uid=0), "user.id", ["0"]),
    "no user": (tetragon(without=("uid",)), "user.id", []),
    "a user name": (tetragon(user={"name": "nginx"}), "user.name", ["nginx"]),
    "a start time but no event time": (
        {"process_exec": tetragon()["process_exec"]},
        "@timestamp",
        ["2026-11-24T11:59:58.123456000Z"],
    ),
    "no parent": (
        {"process_exec": {"process": tetragon()["process_exec"]["process"]}},
        "process.parent.entity_id",
        ["bm9kZS0xMToxMzU0ODY3MDg4MzI5OTo0MQ=="],
    ),
    "a binary without a folder": (tetragon(binary="ssh"), "process.name", ["ssh"]),
    "labels as an older version sends them": (
        tetragon(pod={**POD, "pod_labels": ["k8s:app=web"]}),
        "container.labels.app",
        ["web"],
    ),
}


@pytest.mark.parametrize(("event", "field", "expected"), VARIANTS.values(), ids=VARIANTS.keys())
def test_variants_of_an_event_are_converted(event: Any, field: str, expected: list[Any]) -> None:
    assert field_values(normalise(event), field) == expected


def test_pod_labels_become_container_labels() -> None:
    assert event_from_ecs(normalise(tetragon())).labels == {"app.kubernetes.io/name": "web"}


# Tetragon separates arguments by a space and quotes an argument that contains a space.
ARGUMENTS: dict[str, tuple[str, list[str]]] = {
    "words": ("-p 22 host", ["-p", "22", "host"]),
    "quoted words": ('-c "id; ls -l" x', ["-c", "id; ls -l", "x"]),
    "a quoted last argument": ('host "uptime -p"', ["host", "uptime -p"]),
    "quotes that belong to the argument": ('"-oUser=x"', ['"-oUser=x"']),
    "quotes inside quotes": ('-c "echo "a b" | cat"', ["-c", 'echo "a b', "|", 'cat"']),
    "an unclosed quote": ('-c "id; ls', ["-c", '"id;', "ls"]),
    "an apostrophe": ("echo it's", ["echo", "it's"]),
    "a backslash": (r"-o ProxyCommand=a\ b", ["-o", "ProxyCommand=a\\", "b"]),
    "an empty argument": ('host ""', ["host", ""]),
    "a newline": ("-c id\nls", ["-c", "id\nls"]),
    "a space at the end": ("id ", ["id"]),
}


@pytest.mark.parametrize(("joined", "expected"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_quoted_arguments_are_split(joined: str, expected: list[str]) -> None:
    document = normalise(tetragon(arguments=joined))
    assert field_values(document, "process.args")[1:] == expected
    assert field_values(document, "process.command_line") == [f"/usr/bin/ssh {joined}"]


def test_many_quotes_are_split_in_linear_time() -> None:
    # A quadratic search for closing quotes would take hours here.
    words = field_values(normalise(tetragon(arguments='"a ' * 400_000)), "process.args")
    assert len(words) == 400_001


FLAGS: dict[str, tuple[str, str, str]] = {
    "execve": ("execve rootcwd clone", "exec", "start"),
    "execveat": ("execveat", "exec", "start"),
    "truncated arguments": ("execve clone truncArgs", "exec", "start"),
    "a process that ran before the agent": ("procFS auid rootcwd", "already_running", "info"),
    "a fork": ("clone", "fork", "info"),
    "none": ("", "exec", "start"),
}


@pytest.mark.parametrize(("flags", "action", "kind"), FLAGS.values(), ids=FLAGS.keys())
def test_flags_decide_between_start_and_already_running(flags: str, action: str, kind: str) -> None:
    document = normalise(tetragon(flags=flags))
    assert field_values(document, "event.action") == [action]
    assert field_values(document, "event.type") == [kind]


@pytest.mark.parametrize(
    ("key", "action", "kind"),
    [
        ("process_exit", "exit", "end"),
        ("process_kprobe", "process_kprobe", "info"),
        ("process_tracepoint", "process_tracepoint", "info"),
        ("process_lsm", "process_lsm", "info"),
        ("process_uprobe", "process_uprobe", "info"),
        ("process_loader", "process_loader", "info"),
        ("rate_limit_info", "rate_limit_info", "info"),
    ],
)
def test_other_event_kinds_are_not_process_starts(key: str, action: str, kind: str) -> None:
    event = tetragon()
    document = normalise({key: event["process_exec"], "node_name": NODE, "time": event["time"]})
    assert field_values(document, "event.action") == [action]
    assert field_values(document, "event.type") == [kind]
    # The exec_id identifies the exec, not later events of the process.
    assert field_values(document, "event.id") == []
    assert field_values(normalise({key: None}), "event.action") == [action]


@pytest.mark.parametrize(
    "event",
    [
        tetragon(without=("binary",)),
        tetragon(binary=""),
        tetragon(binary=None),
        {"process_exec": {}},
        {"process_exec": None},
        {"process_exec": "ssh"},
        {"process_exec": {"process": ["ssh"]}},
    ],
)
def test_an_exec_without_a_program_is_unparsable(event: Any) -> None:
    with pytest.raises(EventParseError, match=r"process_exec event without process\.binary"):
        normalise(event)


def test_an_event_without_exec_id_gets_a_derived_id() -> None:
    def event_id(**process: Any) -> str:
        return event_from_ecs(normalise(tetragon(exec_id=None, **process))).id

    assert event_id() == event_id()
    assert len({event_id(), event_id(pid=4178), event_id(arguments="x")}) == 3
