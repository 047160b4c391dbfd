"""Conversion of Tracee events to ECS, in the formats of all its versions."""

from typing import Any

import pytest

from app.domain.ecs_fields import field_values
from app.domain.event import event_from_ecs
from app.formats import EventParseError, normalise
from tests.agent_events import CONTAINER_ID, NODE, tracee, tracee_v1beta1

FIELDS: dict[str, list[Any]] = {
    "@timestamp": ["2026-11-24T11:59:58.123456789Z"],
    "event.category": ["process"],
    "event.type": ["start"],
    "event.action": ["exec"],
    "event.id": [],
    "agent.type": ["tracee"],
    "host.name": [NODE],
    "host.os.type": ["linux"],
    "container.id": [CONTAINER_ID],
    "container.name": ["web"],
    "container.image.name": ["registry.example:5000/shop/web"],
    "container.image.tag": ["9.1"],
    "orchestrator.namespace": ["prod"],
    "orchestrator.resource.name": ["web-5c6b-x7k2p"],
    "process.name": ["ssh"],
    "process.executable": ["/usr/bin/ssh"],
    "process.args": ["ssh", "-p", "2222", "deploy@10.42.3.17", "uptime -p"],
    "process.pid": [4177],
    "process.vpid": [17],
    "process.entity_id": ["2971844315"],
    "process.parent.pid": [41],
    "process.parent.entity_id": ["1046207513"],
    "process.entry_leader.entry_meta.type": [],
    "user.id": ["101"],
}


@pytest.mark.parametrize(("field", "expected"), FIELDS.items(), ids=FIELDS.keys())
def test_an_exec_event_sets_the_ecs_field(field: str, expected: list[Any]) -> None:
    assert field_values(normalise(tracee()), field) == expected


@pytest.mark.parametrize("field", [name for name in FIELDS if name != "host.name"])
def test_the_structured_format_sets_the_same_fields(field: str) -> None:
    # The structured format has no host name.
    assert field_values(normalise(tracee_v1beta1()), field) == FIELDS[field]


def to_camel_case(tree: Any) -> Any:
    """Rename keys as protobuf's JSON mapping does, which some outputs use."""
    if isinstance(tree, list):
        return [to_camel_case(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        key.split("_")[0] + "".join(map(str.title, key.split("_")[1:])): to_camel_case(value)
        for key, value in tree.items()
    }


def test_the_structured_format_may_use_camel_case_names() -> None:
    event = to_camel_case(tracee_v1beta1()) | {"timestamp": "2026-11-24T11:59:58.123456789Z"}
    assert "hostPid" in event["workload"]["process"]
    assert normalise(event) == normalise(tracee_v1beta1())


OLD_EVENT: dict[str, Any] = {
    **tracee(without=("container", "kubernetes")),
    "containerImage": "registry.example:5000/shop/web:9.1",
    "containerName": "web",
    "podName": "web-5c6b-x7k2p",
    "podNamespace": "prod",
}


@pytest.mark.parametrize("field", FIELDS)
def test_the_old_format_sets_the_same_fields(field: str) -> None:
    assert field_values(normalise(OLD_EVENT), field) == FIELDS[field]


def arguments_list(**arguments: Any) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in arguments.items()]


VARIANTS: dict[str, tuple[dict[str, Any], str, list[Any]]] = {
    "no container": (
        tracee(containerId="", container={}, kubernetes={}),
        "container.id",
        [],
    ),
    "the host as a container": (tracee(containerId="host", container={}), "container.id", []),
    "an id only in the container object": (tracee(containerId=""), "container.id", [CONTAINER_ID]),
    "an id only in containerId": (tracee(container={}), "container.id", [CONTAINER_ID]),
    "a time since boot": (tracee(timestamp=620317257297855), "@timestamp", []),
    "no time": (tracee(without=("timestamp",)), "@timestamp", []),
    "a time as text": (
        tracee(timestamp="1795521598123456789"),
        "@timestamp",
        ["2026-11-24T11:59:58.123456789Z"],
    ),
    "a time just after a second": (
        tracee(timestamp=1795521598000000007),
        "@timestamp",
        ["2026-11-24T11:59:58.000000007Z"],
    ),
    "a time beyond the calendar": (tracee(timestamp=10**30), "@timestamp", []),
    "a host name that is the start of the pod's name": (
        tracee(hostName="web-5c6b-x7k2"),
        "host.name",
        [],
    ),
    "a host name that is the start of the container's id": (
        tracee(hostName=CONTAINER_ID[:12]),
        "host.name",
        [],
    ),
    "an executable without a pathname": (
        tracee(executable={"path": "/bin/ssh"}, args=arguments_list(argv=["ssh"])),
        "process.executable",
        ["/bin/ssh"],
    ),
    "an empty pathname": (
        tracee(args=arguments_list(pathname="", cmdpath="/opt/ssh")),
        "process.executable",
        ["/opt/ssh"],
    ),
    "a name truncated by the kernel": (
        tracee(
            processName="kubernetes-ssh-",
            args=arguments_list(pathname="/opt/kubernetes-ssh-proxy"),
        ),
        "process.name",
        ["kubernetes-ssh-proxy"],
    ),
    "a path without a name": (tracee(processName=""), "process.name", ["ssh"]),
    "arguments as an object": (
        tracee(args={"argv": ["ssh", "host"], "pathname": "/usr/bin/ssh"}),
        "process.args",
        ["ssh", "host"],
    ),
    "argv as joined text": (
        tracee(args=arguments_list(argv="ssh host")),
        "process.args",
        ["ssh", "host"],
    ),
    "no argv": (tracee(args=[]), "process.args", []),
    "an empty argument": (
        tracee(args=arguments_list(argv=["ssh", ""])),
        "process.args",
        ["ssh", ""],
    ),
    "only the pid in the namespace": (tracee(without=("hostProcessId",)), "process.pid", [17]),
    "the executable's digest": (
        tracee(args=arguments_list(argv=["ssh"], sha256=f"sha256:{'cd' * 32}")),
        "process.hash.sha256",
        ["cd" * 32],
    ),
    "the image's digest": (
        tracee(container={"id": "a", "imageDigest": "shop/web@sha256:ab"}),
        "container.image.hash.all",
        ["sha256:ab"],
    ),
    "user id 0": (tracee(userId=0), "user.id", ["0"]),
}


@pytest.mark.parametrize(("event", "field", "expected"), VARIANTS.values(), ids=VARIANTS.keys())
def test_variants_of_an_event_are_converted(event: Any, field: str, expected: list[Any]) -> None:
    assert field_values(normalise(event), field) == expected


@pytest.mark.parametrize(
    "name", ["execve", "execveat", "sched_process_fork", "security_file_open", "anti_debugging"]
)
def test_other_events_are_not_process_starts(name: str) -> None:
    document = normalise(tracee(eventName=name))
    assert field_values(document, "event.action") == [name]
    assert field_values(document, "event.type") == ["info"]


@pytest.mark.parametrize(
    "event",
    [
        tracee(processName="", args=[]),
        tracee(without=("processName", "args")),
        {"eventName": "sched_process_exec"},
        {"name": "sched_process_exec", "workload": {}},
    ],
)
def test_an_exec_without_a_program_is_unparsable(event: Any) -> None:
    with pytest.raises(EventParseError, match="neither processName nor an argument pathname"):
        normalise(event)


def test_an_event_name_of_another_program_is_unparsable() -> None:
    with pytest.raises(EventParseError, match="no known agent format"):
        normalise({"eventName": "ConsoleLogin", "eventSource": "signin.example"})


@pytest.mark.parametrize("timestamp", [1795521598123456789, 620317257297855, 620317.25])
def test_derived_event_ids_are_stable_and_distinct(timestamp: Any) -> None:
    def event_id(**event: Any) -> str:
        return event_from_ecs(normalise(tracee(**{"timestamp": timestamp, **event}))).id

    assert event_id() == event_id()
    others = [
        event_id(timestamp=timestamp + 1),
        event_id(hostName="node-12"),
        event_id(processEntityId=7),
        event_id(args=arguments_list(pathname="/usr/bin/ssh", argv=["ssh", "x"])),
    ]
    assert len({event_id(), *others}) == 5
