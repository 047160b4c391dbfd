"""Tracee's events (JSON output) as ECS, in the three shapes they have had.

The flat one with `eventName` has kept its names, with `containerId` and its like moved into objects
on the way; the newest one has `workload` and `data`, and is read through the flat one. Only
`sched_process_exec` tells of a start: `execve` fires before it, still in the container runtime.
"""

from collections.abc import Mapping

from app.domain.ecs import Document
from app.domain.event import derived_id, read_time
from app.formats.agent_event import (
    basename,
    document,
    full_name,
    image,
    inside,
    moment,
    text,
    texts,
    whole,
)
from app.formats.format import Format, Unreadable

_EXEC = "sched_process_exec"
# CloudTrail has an eventName as well.
_ITS_OWN = frozenset(
    {"processName", "hostProcessId", "processId", "hostName", "containerId", "args"}
)
# 1e18 ns after 1970 is September 2001; no machine has been up for as long.
_SINCE_BOOT = 10**18


def _is_flat(event: Mapping[str, object]) -> bool:
    name = event.get("eventName")
    return isinstance(name, str) and (name == _EXEC or not _ITS_OWN.isdisjoint(event))


def _to_ecs(event: Mapping[str, object]) -> Document:
    name = str(event["eventName"])
    started = name == _EXEC
    arguments = _arguments(event.get("args"))
    path = (
        text(arguments.get("pathname"))
        or text(inside(event, "executable", "path"))
        or text(arguments.get("cmdpath"))
    )
    process_name = full_name(text(event.get("processName")), path)
    if started and process_name is None:
        raise Unreadable(
            "a Tracee sched_process_exec event with neither processName nor an argument pathname"
        )
    place = _place(event)
    told = {
        "@timestamp": _time(event.get("timestamp")),
        "process": {
            "name": process_name,
            "executable": path,
            "args": _argv(arguments.get("argv")),
            "pid": whole(event.get("hostProcessId")) or whole(event.get("processId")),
            "vpid": whole(event.get("processId")),
            "entity_id": _not_zero(event.get("processEntityId")),
            "hash": {"sha256": _sha256(arguments.get("sha256"))},
            "parent": {
                "name": text(event.get("parentProcessName")),
                "pid": whole(event.get("hostParentProcessId"))
                or whole(event.get("parentProcessId")),
                "entity_id": _not_zero(event.get("parentEntityId")),
            },
        },
        "user": {"id": text(event.get("userId")), "name": text(event.get("userName"))},
        **place,
    }
    found = document(
        "tracee",
        "exec" if started else name,
        kinds=["start"] if started else ["info"],
        host=_host(event, place),
        told=told,
    )
    counted = text(event.get("timestamp"))
    if "@timestamp" in found or counted is None:
        return found
    # Time since boot is no date, but it tells two executions apart.
    own_id = derived_id({**found, "@timestamp": counted})
    return {**found, "event": {**found["event"], "id": own_id}}  # type: ignore[dict-item]


def _arguments(given: object) -> dict[str, object]:
    """Arguments by name; a list of `{"name": …, "value": …}`, or an object."""
    if isinstance(given, dict):
        return {str(name): value for name, value in given.items()}
    if not isinstance(given, list):
        return {}
    return {str(inside(one, "name")): inside(one, "value") for one in given}


def _argv(value: object) -> list[str] | None:
    """Older versions join `argv` when arguments are not parsed; split at spaces, as they joined it."""
    return value.split(" ") if isinstance(value, str) and value else texts(value)


def _sha256(value: object) -> str | None:
    """Tracee may put the image's layer before the digest: `sha256:…`, or nothing but the digits."""
    told = (text(value) or "").rpartition(":")[2]
    return told if len(told) == 64 else None


def _not_zero(value: object) -> str | None:
    return None if whole(value) == 0 else text(value)


def _time(timestamp: object) -> str | None:
    nanoseconds = whole(timestamp)
    if nanoseconds is not None:
        return moment(nanoseconds) if nanoseconds >= _SINCE_BOOT else None
    told = text(timestamp)
    return told if read_time(told) is not None else None


def _place(event: Mapping[str, object]) -> dict[str, object]:
    container_id = text(inside(event, "container", "id")) or text(event.get("containerId"))
    if container_id in (None, "host"):
        return {}
    named = image(text(inside(event, "container", "image")) or text(event.get("containerImage")))
    digest = text(inside(event, "container", "imageDigest"))
    if digest is not None:
        named["hash"] = {"all": [digest.rpartition("@")[2]]}
    namespace = text(inside(event, "kubernetes", "podNamespace")) or text(event.get("podNamespace"))
    pod = text(inside(event, "kubernetes", "podName")) or text(event.get("podName"))
    return {
        "container": {
            "id": container_id,
            "name": text(inside(event, "container", "name")) or text(event.get("containerName")),
            "image": named,
        },
        "orchestrator": {
            "type": "kubernetes" if namespace or pod else None,
            "namespace": namespace,
            "resource": {"name": pod, "type": "pod" if pod else None},
        },
    }


def _host(event: Mapping[str, object], place: Mapping[str, object]) -> str | None:
    """The host, unless `hostName` is the container's own: its pod's name, cut short, or its id's start."""
    host = text(event.get("hostName"))
    own = (
        text(inside(place, "orchestrator", "resource", "name")),
        text(inside(place, "container", "id")),
    )
    return None if host and any(name and name.startswith(host) for name in own) else host


def _is_structured(event: Mapping[str, object]) -> bool:
    return isinstance(event.get("workload"), dict) and isinstance(event.get("name"), str)


def _from_structured(event: Mapping[str, object]) -> Document:
    """The shape of `v1beta1.Event`, whose names are written `host_pid` or `hostPid`."""
    workload = event["workload"]
    process = _get(workload, "process")
    parent = _get(process, "ancestors")
    parent = parent[0] if isinstance(parent, list) and parent else None
    container, pod = _get(workload, "container"), _get(workload, "pod")
    pod = pod or _get(workload, "k8s", "pod")
    namespace = _get(pod, "namespace") or _get(workload, "k8s", "namespace")
    picture = _get(container, "image")
    data = event.get("data")
    return _to_ecs(
        {
            "eventName": event["name"],
            "timestamp": _stamp(event.get("timestamp")),
            "processName": _get(process, "thread", "name"),
            "hostProcessId": _plain(_get(process, "host_pid")),
            "processId": _plain(_get(process, "pid")),
            "processEntityId": _plain(_get(process, "unique_id")),
            "executable": _get(process, "executable"),
            "userId": _plain(_get(process, "real_user", "id")),
            "userName": _get(process, "real_user", "name"),
            "hostParentProcessId": _plain(_get(parent, "host_pid")),
            "parentEntityId": _plain(_get(parent, "unique_id")),
            "parentProcessName": _get(parent, "thread", "name")
            or basename(text(_get(parent, "executable", "path"))),
            "container": {
                "id": _get(container, "id"),
                "name": _get(container, "name"),
                "image": _get(picture, "name") or picture,
            },
            "kubernetes": {
                "podName": _get(pod, "name"),
                "podNamespace": _get(namespace, "name") or namespace,
            },
            "args": [
                {"name": _get(one, "name"), "value": _data(one)}
                for one in (data if isinstance(data, list) else [])
            ],
        }
    )


def _get(value: object, *path: str) -> object:
    for key in path:
        first, *rest = key.split("_")
        found = inside(value, key)
        value = inside(value, first + "".join(map(str.title, rest))) if found is None else found
    return value


def _plain(value: object) -> object:
    """A number, which this shape may put into an object of its own so as to tell 0 from nothing."""
    return inside(value, "value") if isinstance(value, dict) else value


def _stamp(timestamp: object) -> object:
    seconds, nanos = whole(inside(timestamp, "seconds")), whole(inside(timestamp, "nanos"))
    return timestamp if seconds is None else seconds * 1_000_000_000 + (nanos or 0)


def _data(one: object) -> object:
    several = _plain(_get(one, "str_array"))
    return several if several is not None else _get(one, "str")


TRACEE = Format("tracee", ("eventName",), _is_flat, _to_ecs)
STRUCTURED = Format("tracee, structured", ("workload",), _is_structured, _from_structured)
