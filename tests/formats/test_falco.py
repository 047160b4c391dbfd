"""Conversion of Falco alerts to ECS: fields, missing fields, arguments, starts and rejected alerts."""

from typing import Any

import pytest

from app.domain.ecs_fields import field_values
from app.domain.event import event_from_ecs
from app.formats import EventParseError, normalise
from tests.agent_events import CONTAINER_ID, NODE, falco


def first_value(document: Any, field: str) -> Any:
    return next(iter(field_values(document, field)), None)


def is_start(event: Any) -> bool:
    document = normalise(event)
    return (
        field_values(document, "event.type") == ["start"]
        and first_value(document, "event.action") == "exec"
    )


FIELDS: dict[str, list[Any]] = {
    "@timestamp": ["2026-11-24T11:59:58.123456789Z"],
    "event.kind": ["alert"],
    "event.category": ["process"],
    "event.type": ["start"],
    "event.action": ["exec"],
    "event.id": [],
    "agent.type": ["falco"],
    "rule.name": ["SSH in a container"],
    "tags": ["container", "ssh"],
    "host.name": [NODE],
    "host.os.type": ["linux"],
    "container.id": [CONTAINER_ID[:12]],
    "container.name": ["web-5c6b"],
    "container.image.name": ["registry.example:5000/shop/web"],
    "container.image.tag": ["9.1"],
    "orchestrator.namespace": ["prod"],
    "orchestrator.resource.name": ["web-5c6b-x7k2p"],
    "process.name": ["ssh"],
    "process.executable": ["/usr/bin/ssh"],
    "process.args": ["ssh", "-p", "2222", "deploy@10.42.3.17", "uptime"],
    "process.command_line": ["ssh -p 2222 deploy@10.42.3.17 uptime"],
    "process.pid": [4177],
    "process.interactive": [True],
    "process.parent.name": ["bash"],
    "process.parent.pid": [41],
    "process.parent.command_line": ["bash -i"],
    "process.entry_leader.entry_meta.type": [],
    "user.name": ["nginx"],
    "user.id": ["101"],
}


@pytest.mark.parametrize(("field", "expected"), FIELDS.items(), ids=FIELDS.keys())
def test_an_exec_alert_sets_the_ecs_field(field: str, expected: list[Any]) -> None:
    assert field_values(normalise(falco()), field) == expected


# Changed or missing input: (alert, field, expected first value).
VARIANTS: dict[str, tuple[dict[str, Any], str, Any]] = {
    "the full container id": (
        falco(container__full_id=CONTAINER_ID),
        "container.id",
        CONTAINER_ID,
    ),
    "outside any container": (falco(container__id="host"), "container.id", None),
    "an unknown container": (falco(container__id=None), "container.id", None),
    "a container id that Falco could not read": (falco(container__id="<NA>"), "container.id", None),
    "the image as a single reference": (
        falco(
            without=("container__image__repository", "container__image__tag"),
            container__image="registry.example:5000/shop/web:9.1",
        ),
        "container.image.tag",
        "9.1",
    ),
    "a registry with a port and no tag": (
        falco(
            without=("container__image__repository", "container__image__tag"),
            container__image="registry.example:5000/shop/web",
        ),
        "container.image.name",
        "registry.example:5000/shop/web",
    ),
    "the image's digest": (
        falco(container__image__digest="sha256:ab"),
        "container.image.hash.all",
        "sha256:ab",
    ),
    "no image": (falco(container__image__repository=None), "container.image.name", None),
    "a pid beyond 2^53": (falco(proc__pid=9007199254740993), "process.pid", 9007199254740993),
    "a pid as text": (falco(proc__pid="4177"), "process.pid", 4177),
    "a user that Falco could not read": (falco(user__name="<NA>"), "user.name", None),
    "a user id of 0": (falco(user__uid=0), "user.id", "0"),
    "no terminal": (falco(proc__tty=0), "process.interactive", False),
    "no parent name": (falco(proc__pname=None), "process.parent.name", None),
    "an invalid time": (
        falco() | {"time": "2026-11-24T11:59:58.123456789Z+2"},
        "@timestamp",
        "2026-11-24T11:59:58.123456789Z",
    ),
    "no time but evt.time": (
        {key: value for key, value in falco().items() if key != "time"},
        "@timestamp",
        "2026-11-24T11:59:58.123456789Z",
    ),
    "no time at all": (
        {k: v for k, v in falco(without=("evt__time",)).items() if k != "time"},
        "@timestamp",
        None,
    ),
    "Falco's own pod as the host": (falco() | {"hostname": "falco-xczjd"}, "host.name", None),
    "Falco's own pod as the agent name": (
        falco() | {"hostname": "falco-xczjd"},
        "agent.name",
        "falco-xczjd",
    ),
    "the node name next to Falco's own pod": (
        falco(k8s__node__name=NODE) | {"hostname": "falco-xczjd"},
        "host.name",
        NODE,
    ),
    "a host whose name starts with falco": (
        falco() | {"hostname": "falco-build-01"},
        "host.name",
        "falco-build-01",
    ),
    "a name truncated by the kernel": (
        falco(proc__name="kubernetes-ssh-", proc__exepath="/opt/kubernetes-ssh-proxy"),
        "process.name",
        "kubernetes-ssh-proxy",
    ),
    "a name that differs from the file name": (
        falco(proc__name="x", proc__exepath="/usr/bin/ssh"),
        "process.name",
        "x",
    ),
    "a path without a name": (
        falco(without=("proc__name", "proc__cmdline")),
        "process.name",
        "ssh",
    ),
    "a command line without a name": (
        falco(without=("proc__name", "proc__exepath")),
        "process.name",
        "ssh",
    ),
}


@pytest.mark.parametrize(("event", "field", "expected"), VARIANTS.values(), ids=VARIANTS.keys())
def test_variants_of_an_event_are_converted(event: Any, field: str, expected: Any) -> None:
    assert first_value(normalise(event), field) == expected


# Output fields proc.name, proc.exe, proc.args and proc.cmdline, and the expected process.args.
ARGUMENTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "args without argv[0]": (
        {"proc.name": "ssh", "proc.args": "a b", "proc.cmdline": "ssh a b"},
        ["ssh", "a", "b"],
    ),
    "argv[0] in proc.exe": (
        {"proc.name": "sshd", "proc.exe": "/usr/sbin/sshd", "proc.args": "-D"},
        ["/usr/sbin/sshd", "-D"],
    ),
    "only a command line": ({"proc.name": "ssh", "proc.cmdline": "ssh a b"}, ["ssh", "a", "b"]),
    "a name with a space": (
        {"proc.name": "my ssh", "proc.cmdline": "my ssh a b"},
        ["my ssh", "a", "b"],
    ),
    "no arguments": ({"proc.name": "ssh", "proc.args": "", "proc.cmdline": "ssh"}, ["ssh"]),
    "no argument fields": ({"proc.name": "ssh"}, []),
    "an empty argument": ({"proc.name": "ssh", "proc.args": "a  b"}, ["ssh", "a", "", "b"]),
    "quotes belong to the argument": (
        {"proc.name": "ssh", "proc.args": "h echo 'x"},
        ["ssh", "h", "echo", "'x"],
    ),
}


@pytest.mark.parametrize(("fields", "expected"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_arguments_are_split_at_spaces(fields: dict[str, Any], expected: list[str]) -> None:
    event = falco() | {"output_fields": {"evt.type": "execve", **fields}}
    assert field_values(normalise(event), "process.args") == expected


@pytest.mark.parametrize("evt_type", ["execve", "execveat"])
def test_execve_and_execveat_are_process_starts(evt_type: str) -> None:
    assert is_start(falco(evt__type=evt_type))


def test_an_alert_without_a_syscall_is_a_process_start() -> None:
    assert is_start(falco(without=("evt__type",)))
    assert is_start(falco(without=("evt__type",), fd__name=None))


@pytest.mark.parametrize(
    "event",
    [
        falco(evt__type="openat"),
        falco(evt__type="connect", fd__name="10.0.0.1:4242->10.42.3.17:22"),
        falco(without=("evt__type",), fd__name="/etc/ssh/sshd_config"),
        falco(evt__res="ENOENT"),
    ],
    ids=["a file", "a connection", "a file without a syscall name", "a failed exec"],
)
def test_other_alerts_are_not_process_starts(event: Any) -> None:
    assert not is_start(event)


def test_a_successful_exec_is_a_process_start() -> None:
    assert is_start(falco(evt__res="SUCCESS"))


NON_PROCESS_ALERTS: dict[str, dict[str, Any]] = {
    "a Kubernetes audit log": {"source": "k8s_audit", "output_fields": {"ka.verb": "patch"}},
    "Falco's own state": {
        "rule": "Falco internal: metrics snapshot",
        "source": "internal",
        "output_fields": {"falco.version": "0.41.0"},
    },
    "Falco's own state without a source": {
        "rule": "Falco internal: syscall event drop",
        "output_fields": {"n_drops": 815508},
    },
    "a file": {"output_fields": {"evt.type": "openat", "fd.name": "/etc/shadow"}},
}


@pytest.mark.parametrize("overrides", NON_PROCESS_ALERTS.values(), ids=NON_PROCESS_ALERTS.keys())
def test_a_non_process_alert_is_accepted_without_process_category(
    overrides: dict[str, Any],
) -> None:
    document = normalise(falco() | overrides)
    assert field_values(document, "event.category") == []
    assert not is_start(falco() | overrides)


UNPARSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "no process name": (
        falco(without=("proc__name", "proc__exepath", "proc__cmdline")),
        "output_fields has none of proc.name",
    ),
    "empty output fields": (
        {**falco(), "output_fields": {}},
        "output_fields has none of proc.name",
    ),
    "null output fields": ({**falco(), "output_fields": None}, "without output_fields"),
    "a list of output fields": ({**falco(), "output_fields": ["x"]}, "without output_fields"),
    "missing output fields": (
        {key: value for key, value in falco().items() if key != "output_fields"},
        "json_include_output_fields_property",
    ),
}


@pytest.mark.parametrize(("event", "reason"), UNPARSABLE.values(), ids=UNPARSABLE.keys())
def test_an_unparsable_alert_is_rejected_with_the_missing_field(event: Any, reason: str) -> None:
    with pytest.raises(EventParseError, match=reason):
        normalise(event)


def event_id(event: Any) -> str:
    return event_from_ecs(normalise(event)).id


def test_derived_event_ids_are_stable_and_distinct() -> None:
    assert event_id(falco()) == event_id(falco())
    changed_alerts = [
        falco() | {"time": "2026-11-24T11:59:58.123456788Z"},
        falco() | {"hostname": "node-12"},
        falco(proc__pid=4178),
        falco(proc__args="-p 2222 deploy@10.42.3.18 uptime"),
        falco(without=("proc__pid",)),
        falco(without=("proc__pid",)) | {"output": "another one"},
    ]
    assert len({event_id(event) for event in [falco(), *changed_alerts]}) == 7
