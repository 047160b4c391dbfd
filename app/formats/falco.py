"""Falco's alerts (`json_output`), direct or through Falcosidekick, as ECS.

Falco sends a field only when the rule's output names it, so nearly everything may be missing. An
alert about a process that was started is an exec; any other alert is accepted and matches no rule.
"""

import re
from collections.abc import Iterator, Mapping

from app.domain.ecs_fields import Document
from app.domain.event import parse_timestamp
from app.formats.ecs_document import (
    as_integer,
    as_text,
    build_document,
    image_fields,
    nanoseconds_to_rfc3339,
    resolve_process_name,
)
from app.formats.format import EventParseError, Format

_EXEC_SYSCALLS = ("execve", "execveat")
# What Falco writes for a field that it could not read.
_MISSING = "<NA>"
# A container field says this when the process ran outside any container.
_HOST_CONTAINER_ID = "host"
_SYSCALL_SOURCES = ("syscall", "syscalls")
# The last part of a DaemonSet's pod is five of the letters that Kubernetes draws from.
_FALCO_POD_NAME = re.compile(
    r"(?:[a-z0-9-]+-)?falco(?:-[a-z0-9-]+)?-[bcdfghjklmnpqrstvwxz2456789]{5}\Z"
)


class _OutputFields:
    """`output_fields`, of which Falcosidekick can write `proc.name` as `proc_name` for Elasticsearch."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._values = dict(_flatten(fields, ""))
        self._dotted = any("." in name for name in self._values)

    def get(self, *names: str) -> object:
        """What the first of `names` that is known says."""
        for name in names:
            value = self._values.get(self._key(name))
            if value not in (None, "", _MISSING):
                return value
        return None

    def get_text(self, *names: str) -> str | None:
        return as_text(self.get(*names))

    def has(self, name: str) -> bool:
        return self._values.get(self._key(name)) is not None

    def has_any_under(self, prefix: str) -> bool:
        start = self._key(f"{prefix}.")
        return any(self.get(name) for name in self._values if name.startswith(start))

    def _key(self, name: str) -> str:
        return name if self._dotted else name.replace(".", "_")


def _flatten(fields: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    """Names and values; a shipper may have made an object of `proc.name`."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_alert(alert: Mapping[str, object]) -> bool:
    if "output_fields" in alert:
        return True
    return isinstance(alert.get("rule"), str) and {"output", "priority"} <= alert.keys()


def _to_ecs(alert: Mapping[str, object]) -> Document:
    output_fields = alert.get("output_fields")
    if not isinstance(output_fields, dict):
        raise EventParseError(
            "a Falco alert without output_fields, the object that holds what its rule saw; in falco.yaml "
            "set json_include_output_fields_property to true"
        )
    fields = _OutputFields(output_fields)
    name = _process_name(fields)
    host, falco_pod = _host(alert, fields)
    # Falcosidekick gives each alert an id; Falco itself does not.
    event: dict[str, object] = {"id": as_text(alert.get("uuid"))}
    ecs_fields: dict[str, object] = {
        "@timestamp": _timestamp(alert, fields),
        "rule": {"name": as_text(alert.get("rule"))},
        "message": as_text(alert.get("output")),
        "tags": [tag for tag in _as_list(alert.get("tags")) if isinstance(tag, str)],
        "agent": {"name": falco_pod},
        "event": event,
    }
    evt_type = fields.get_text("evt.type")
    if name is None:
        if not _is_non_process_alert(alert, evt_type):
            raise EventParseError(
                "a Falco alert whose output_fields has no proc.name, and no proc.exepath or "
                "proc.cmdline instead; add %proc.name to the rule's output"
            )
        event["category"] = []
        return build_document(
            "falco", "alert", event_types=["info"], host=host, ecs_fields=ecs_fields, is_alert=True
        )
    is_start = _is_process_start(evt_type, fields)
    return build_document(
        "falco",
        "exec" if is_start else evt_type or "alert",
        event_types=["start"] if is_start else ["info"],
        host=host,
        ecs_fields={**ecs_fields, **_process_fields(name, fields), **_container_fields(fields)},
        is_alert=True,
    )


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _process_name(fields: _OutputFields) -> str | None:
    """`proc.name`; Falco's `proc.cmdline` begins with it too."""
    comm = fields.get_text("proc.name")
    found = resolve_process_name(comm, fields.get_text("proc.exepath"))
    return found or (fields.get_text("proc.cmdline") or "").partition(" ")[0] or None


def _is_non_process_alert(alert: Mapping[str, object], evt_type: str | None) -> bool:
    """Whether it is no wonder that the alert names no process: Falco's own state, audit logs, files."""
    source = as_text(alert.get("source"))
    return (
        (as_text(alert.get("rule")) or "").startswith("Falco internal")
        or (source is not None and source not in _SYSCALL_SOURCES)
        or (evt_type is not None and evt_type not in _EXEC_SYSCALLS)
    )


def _is_process_start(evt_type: str | None, fields: _OutputFields) -> bool:
    if fields.get_text("evt.res") not in (None, "SUCCESS", "0"):
        # What failed did not start, and the fields tell of the process that tried.
        return False
    if evt_type is None:
        # Many rules do not name %evt.type. Such an alert still shows that the process runs, which
        # must not be lost; one about a file or a connection has fd fields, and is not a start.
        return not fields.has_any_under("fd")
    return evt_type in _EXEC_SYSCALLS


def _timestamp(alert: Mapping[str, object], fields: _OutputFields) -> str | None:
    for told in (alert.get("time"), alert.get("@timestamp"), fields.get("evt.time.iso8601")):
        if isinstance(told, str) and parse_timestamp(told) is not None:
            return told
    nanoseconds = as_integer(fields.get("evt.time"))
    return None if nanoseconds is None else nanoseconds_to_rfc3339(nanoseconds)


def _host(alert: Mapping[str, object], fields: _OutputFields) -> tuple[str | None, str | None]:
    """The host, and Falco's own pod when that is what `hostname` names: it is no place to look at."""
    node = fields.get_text("k8s.node.name", "k8smeta.node.name", "node.name")
    hostname = as_text(alert.get("hostname")) or fields.get_text("evt.hostname")
    if hostname is not None and _FALCO_POD_NAME.match(hostname):
        return node, hostname
    return node or hostname, None


def _process_fields(name: str, fields: _OutputFields) -> dict[str, object]:
    tty = as_integer(fields.get("proc.tty"))
    return {
        "process": {
            "name": name,
            "executable": fields.get_text("proc.exepath"),
            "args": _arguments(name, fields),
            "command_line": fields.get_text("proc.cmdline"),
            "pid": as_integer(fields.get("proc.pid")),
            "vpid": as_integer(fields.get("proc.vpid")),
            "working_directory": fields.get_text("proc.cwd"),
            "interactive": None if tty is None else tty != 0,
            "parent": {
                "name": resolve_process_name(
                    fields.get_text("proc.pname"), fields.get_text("proc.pexepath")
                ),
                "executable": fields.get_text("proc.pexepath"),
                "command_line": fields.get_text("proc.pcmdline"),
                "pid": as_integer(fields.get("proc.ppid")),
            },
        },
        "user": {"name": fields.get_text("user.name"), "id": fields.get_text("user.uid")},
    }


def _arguments(name: str, fields: _OutputFields) -> list[str]:
    """argv as far as it can be told: Falco joins arguments with spaces and quotes none of them.

    Split at each space, the words are exact unless an argument holds a space; quotes in them are the
    arguments' own. `proc.args` has no argv[0] (that is `proc.exe`); `proc.cmdline` is the name,
    which may hold spaces, and the same arguments.
    """
    first = fields.get_text("proc.exe") or name
    joined, line = fields.get_text("proc.args"), fields.get_text("proc.cmdline")
    if joined is None and line is not None:
        comm = fields.get_text("proc.name")
        known = comm is not None and (line == comm or line.startswith(f"{comm} "))
        joined = line[len(comm or "") + 1 :] if known else line.partition(" ")[2]
    if joined:
        return [first, *joined.split(" ")]
    return [first] if line or fields.has("proc.args") or fields.has("proc.exe") else []


def _container_fields(fields: _OutputFields) -> dict[str, object]:
    container_id = fields.get_text("container.full_id", "container.id")
    if container_id in (None, _HOST_CONTAINER_ID):
        return {}
    repository, tag = (
        fields.get_text("container.image.repository"),
        fields.get_text("container.image.tag"),
    )
    image = image_fields(fields.get_text("container.image"))
    if repository is not None:
        image = image | {"name": repository, "tag": [tag] if tag else image.get("tag")}
    digest = fields.get_text("container.image.digest")
    if digest is not None:
        image["hash"] = {"all": [digest]}
    namespace, pod = fields.get_text("k8s.ns.name"), fields.get_text("k8s.pod.name")
    return {
        "container": {
            "id": container_id,
            "name": fields.get_text("container.name"),
            "image": image,
            "runtime": fields.get_text("container.type"),
        },
        "orchestrator": {
            "type": "kubernetes" if namespace or pod else None,
            "namespace": namespace,
            "resource": {"name": pod, "type": "pod" if pod else None},
        },
    }


FALCO = Format("falco", ("output_fields",), _is_alert, _to_ecs)
