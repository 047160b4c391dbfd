"""Conversion of Tracee events (JSON output) to ECS.

Tracee's versions use three formats:

- The flat format has the key `eventName` and keys such as `containerId`.
- A later format also has `eventName`. It has objects such as `container` instead of keys such as
  `containerId`.
- The structured format has the keys `workload` and `data`. An event in this format is first converted to an
  event with `eventName`.

Only the event `sched_process_exec` is a process start. The event `execve` comes earlier, when the process may
still belong to the container runtime.
"""

from collections.abc import Mapping

from app.domain.ecs_fields import Document
from app.domain.event import derive_event_id, parse_timestamp
from app.formats.ecs_document import (
    as_integer,
    as_text,
    as_texts,
    basename,
    build_document,
    get_path,
    image_fields,
    nanoseconds_to_rfc3339,
    orchestrator_fields,
    resolve_process_name,
)
from app.formats.format import EventParseError, Format

_EXEC_EVENT = "sched_process_exec"
# AWS CloudTrail events also have the key `eventName`. An event named `sched_process_exec` is always a Tracee
# event. An event with a different name is a Tracee event only if it has at least one of these keys.
_TRACEE_KEYS = frozenset(
    {"processName", "hostProcessId", "processId", "hostName", "containerId", "args"}
)
# A timestamp is a number of nanoseconds, either since 1970 or since boot. A timestamp below this limit is a
# time since boot. The limit, 10^18 ns, is more than 31 years, and no machine runs for so long.
_MIN_EPOCH_NANOSECONDS = 10**18


def _is_tracee(event: Mapping[str, object]) -> bool:
    name = event.get("eventName")
    return isinstance(name, str) and (name == _EXEC_EVENT or not _TRACEE_KEYS.isdisjoint(event))


def _to_ecs(event: Mapping[str, object]) -> Document:
    name = str(event["eventName"])
    is_start = name == _EXEC_EVENT
    arguments = _arguments(event.get("args"))
    path = (
        as_text(arguments.get("pathname"))
        or as_text(get_path(event, "executable", "path"))
        or as_text(arguments.get("cmdpath"))
    )
    process_name = resolve_process_name(as_text(event.get("processName")), path)
    if is_start and process_name is None:
        raise EventParseError(
            "a Tracee sched_process_exec event with neither processName nor an argument pathname"
        )
    container = _container_fields(event)
    ecs_fields = {
        "@timestamp": _timestamp(event.get("timestamp")),
        "process": {
            "name": process_name,
            "executable": path,
            "args": _argv(arguments.get("argv")),
            "pid": as_integer(event.get("hostProcessId")) or as_integer(event.get("processId")),
            "vpid": as_integer(event.get("processId")),
            "entity_id": _nonzero_text(event.get("processEntityId")),
            "hash": {"sha256": _sha256(arguments.get("sha256"))},
            "parent": {
                "name": as_text(event.get("parentProcessName")),
                "pid": as_integer(event.get("hostParentProcessId"))
                or as_integer(event.get("parentProcessId")),
                "entity_id": _nonzero_text(event.get("parentEntityId")),
            },
        },
        "user": {"id": as_text(event.get("userId")), "name": as_text(event.get("userName"))},
        **container,
    }
    document = build_document(
        "tracee",
        "exec" if is_start else name,
        event_types=["start"] if is_start else ["info"],
        host=_host(event, container),
        ecs_fields=ecs_fields,
    )
    raw_timestamp = as_text(event.get("timestamp"))
    if "@timestamp" in document or raw_timestamp is None:
        return document
    # A time since boot cannot become @timestamp, but it distinguishes two executions of the same command.
    # The event id therefore includes it.
    event_id = derive_event_id({**document, "@timestamp": raw_timestamp})
    return {**document, "event": {**document["event"], "id": event_id}}  # type: ignore[dict-item]


def _arguments(arguments: object) -> dict[str, object]:
    """Return the arguments by name, from a list of `{"name": …, "value": …}` or from an object."""
    if isinstance(arguments, dict):
        return {str(name): value for name, value in arguments.items()}
    if not isinstance(arguments, list):
        return {}
    return {str(get_path(argument, "name")): get_path(argument, "value") for argument in arguments}


def _argv(value: object) -> list[str] | None:
    """Return `argv` as a list.

    Older versions of Tracee send one text, joined with spaces, if they are configured not to parse arguments.
    """
    return value.split(" ") if isinstance(value, str) and value else as_texts(value)


def _sha256(value: object) -> str | None:
    """Return the 64 hex digits of a SHA-256 hash, or None if `value` has a different form.

    A prefix such as `sha256:` is removed.
    """
    digest = (as_text(value) or "").rpartition(":")[2]
    return digest if len(digest) == 64 else None


def _nonzero_text(value: object) -> str | None:
    return None if as_integer(value) == 0 else as_text(value)


def _timestamp(timestamp: object) -> str | None:
    nanoseconds = as_integer(timestamp)
    if nanoseconds is not None:
        return (
            nanoseconds_to_rfc3339(nanoseconds) if nanoseconds >= _MIN_EPOCH_NANOSECONDS else None
        )
    text = as_text(timestamp)
    return text if parse_timestamp(text) is not None else None


def _container_fields(event: Mapping[str, object]) -> dict[str, object]:
    container_id = as_text(get_path(event, "container", "id")) or as_text(event.get("containerId"))
    if container_id in (None, "host"):
        return {}
    image = image_fields(
        as_text(get_path(event, "container", "image")) or as_text(event.get("containerImage"))
    )
    digest = as_text(get_path(event, "container", "imageDigest"))
    if digest is not None:
        image["hash"] = {"all": [digest.rpartition("@")[2]]}
    namespace = as_text(get_path(event, "kubernetes", "podNamespace")) or as_text(
        event.get("podNamespace")
    )
    pod = as_text(get_path(event, "kubernetes", "podName")) or as_text(event.get("podName"))
    return {
        "container": {
            "id": container_id,
            "name": as_text(get_path(event, "container", "name"))
            or as_text(event.get("containerName")),
            "image": image,
        },
        "orchestrator": orchestrator_fields(namespace, pod),
    }


def _host(event: Mapping[str, object], container: Mapping[str, object]) -> str | None:
    """Return `hostName`, or None if it is the host name of the container.

    The host name of a container is the beginning of the pod's name or of the container's id.
    """
    host = as_text(event.get("hostName"))
    container_names = (
        as_text(get_path(container, "orchestrator", "resource", "name")),
        as_text(get_path(container, "container", "id")),
    )
    return (
        None if host and any(name and name.startswith(host) for name in container_names) else host
    )


def _is_structured(event: Mapping[str, object]) -> bool:
    return isinstance(event.get("workload"), dict) and isinstance(event.get("name"), str)


def _structured_to_ecs(event: Mapping[str, object]) -> Document:
    """Convert an event of the structured format (`v1beta1.Event`). Keys are in snake_case or camelCase."""
    workload = event["workload"]
    process = _get_either_case(workload, "process")
    parent = _get_either_case(process, "ancestors")
    parent = parent[0] if isinstance(parent, list) and parent else None
    container, pod = _get_either_case(workload, "container"), _get_either_case(workload, "pod")
    pod = pod or _get_either_case(workload, "k8s", "pod")
    namespace = _get_either_case(pod, "namespace") or _get_either_case(workload, "k8s", "namespace")
    image = _get_either_case(container, "image")
    data = event.get("data")
    return _to_ecs(
        {
            "eventName": event["name"],
            "timestamp": _timestamp_nanoseconds(event.get("timestamp")),
            "processName": _get_either_case(process, "thread", "name"),
            "hostProcessId": _unwrap_number(_get_either_case(process, "host_pid")),
            "processId": _unwrap_number(_get_either_case(process, "pid")),
            "processEntityId": _unwrap_number(_get_either_case(process, "unique_id")),
            "executable": _get_either_case(process, "executable"),
            "userId": _unwrap_number(_get_either_case(process, "real_user", "id")),
            "userName": _get_either_case(process, "real_user", "name"),
            "hostParentProcessId": _unwrap_number(_get_either_case(parent, "host_pid")),
            "parentEntityId": _unwrap_number(_get_either_case(parent, "unique_id")),
            "parentProcessName": _get_either_case(parent, "thread", "name")
            or basename(as_text(_get_either_case(parent, "executable", "path"))),
            "container": {
                "id": _get_either_case(container, "id"),
                "name": _get_either_case(container, "name"),
                "image": _get_either_case(image, "name") or image,
            },
            "kubernetes": {
                "podName": _get_either_case(pod, "name"),
                "podNamespace": _get_either_case(namespace, "name") or namespace,
            },
            "args": [
                {"name": _get_either_case(argument, "name"), "value": _argument_value(argument)}
                for argument in (data if isinstance(data, list) else [])
            ],
        }
    )


def _get_either_case(value: object, *path: str) -> object:
    for key in path:
        first, *rest = key.split("_")
        child = get_path(value, key)
        value = get_path(value, first + "".join(map(str.title, rest))) if child is None else child
    return value


def _unwrap_number(value: object) -> object:
    """Return the number in `value`.

    The structured format may wrap a number in an object, to distinguish 0 from a missing number.
    """
    return get_path(value, "value") if isinstance(value, dict) else value


def _timestamp_nanoseconds(timestamp: object) -> object:
    seconds, nanos = (
        as_integer(get_path(timestamp, "seconds")),
        as_integer(get_path(timestamp, "nanos")),
    )
    return timestamp if seconds is None else seconds * 1_000_000_000 + (nanos or 0)


def _argument_value(argument: object) -> object:
    text_list = _unwrap_number(_get_either_case(argument, "str_array"))
    return text_list if text_list is not None else _get_either_case(argument, "str")


TRACEE = Format("tracee", ("eventName",), _is_tracee, _to_ecs)
TRACEE_STRUCTURED = Format("tracee, structured", ("workload",), _is_structured, _structured_to_ecs)
