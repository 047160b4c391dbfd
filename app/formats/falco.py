"""Conversion of Falco alerts to ECS. Falco (with `json_output`) or Falcosidekick sends the alerts.

Falco sends a field only if the output of the Falco rule names it, so nearly every field may be missing. An
alert about a started process becomes an exec event. Any other alert is accepted, but matches no Deckwatch
rule.
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
    orchestrator_fields,
    resolve_process_name,
)
from app.formats.format import EventParseError, Format

_EXEC_SYSCALLS = ("execve", "execveat")
# Falco's value for a field that it could not read.
_MISSING = "<NA>"
# Falco's container id for a process outside any container.
_HOST_CONTAINER_ID = "host"
_SYSCALL_SOURCES = ("syscall", "syscalls")
# Kubernetes ends the name of a DaemonSet's pod with five random characters from this set.
_FALCO_POD_NAME = re.compile(
    r"(?:[a-z0-9-]+-)?falco(?:-[a-z0-9-]+)?-[bcdfghjklmnpqrstvwxz2456789]{5}\Z"
)


class _OutputFields:
    """Accessor for `output_fields`.

    Falcosidekick's output for Elasticsearch can replace the dots in field names (`proc_name` for
    `proc.name`). The accessor accepts both forms.
    """

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._values = dict(_flatten(fields, ""))
        self._is_dotted = any("." in name for name in self._values)

    def get(self, *names: str) -> object:
        """Return the first value that exists among the fields `names`, or None."""
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
        return name if self._is_dotted else name.replace(".", "_")


def _flatten(fields: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    """Yield (dotted name, value) for each field.

    A shipper may have converted a name such as `proc.name` to nested objects.
    """
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
            "a Falco alert without output_fields, which holds the values of the rule's fields; set "
            "json_include_output_fields_property to true in falco.yaml"
        )
    fields = _OutputFields(output_fields)
    name = _process_name(fields)
    host, falco_pod = _host(alert, fields)
    # Only Falcosidekick sets `uuid`. Falco itself sends no id.
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
                "a Falco alert whose output_fields has none of proc.name, proc.exepath and "
                "proc.cmdline; "
                "add %proc.name to the rule's output"
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
    """Return the process name, or None.

    If `proc.name` and `proc.exepath` are both missing, the first word of `proc.cmdline` is the process name.
    """
    comm = fields.get_text("proc.name")
    name = resolve_process_name(comm, fields.get_text("proc.exepath"))
    return name or (fields.get_text("proc.cmdline") or "").partition(" ")[0] or None


def _is_non_process_alert(alert: Mapping[str, object], evt_type: str | None) -> bool:
    """Return whether the alert needs no process name.

    The following alerts need no process name:

    - alerts about Falco itself
    - alerts from a source that is not system calls, such as an audit log
    - alerts about a system call other than execve and execveat
    """
    source = as_text(alert.get("source"))
    return (
        (as_text(alert.get("rule")) or "").startswith("Falco internal")
        or (source is not None and source not in _SYSCALL_SOURCES)
        or (evt_type is not None and evt_type not in _EXEC_SYSCALLS)
    )


def _is_process_start(evt_type: str | None, fields: _OutputFields) -> bool:
    if fields.get_text("evt.res") not in (None, "SUCCESS", "0"):
        # A failed exec starts no program. The fields describe the process that called exec.
        return False
    if evt_type is None:
        # Many Falco rules omit %evt.type. An alert without an event type still proves that the process runs,
        # so the alert counts as a process start. An alert with `fd` fields does not count, because it is
        # about a file or a connection.
        return not fields.has_any_under("fd")
    return evt_type in _EXEC_SYSCALLS


def _timestamp(alert: Mapping[str, object], fields: _OutputFields) -> str | None:
    for timestamp in (alert.get("time"), alert.get("@timestamp"), fields.get("evt.time.iso8601")):
        if isinstance(timestamp, str) and parse_timestamp(timestamp) is not None:
            return timestamp
    nanoseconds = as_integer(fields.get("evt.time"))
    return None if nanoseconds is None else nanoseconds_to_rfc3339(nanoseconds)


def _host(alert: Mapping[str, object], fields: _OutputFields) -> tuple[str | None, str | None]:
    """Return (host name, name of Falco's own pod).

    If Falco runs as a DaemonSet, the field `hostname` contains the name of Falco's pod. The host name is then
    the name of the node. It is None if the alert does not contain the name of the node.

    If `hostname` is not the name of a Falco pod, the second value of the pair is None.
    """
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
    """Rebuild argv, which Falco joins with spaces and without quoting.

    The text is split at each space. The result is exact unless an argument contains a space. Quotes are kept,
    because they are characters of the arguments. `proc.exe` is argv[0], and `proc.args` has the arguments
    after it. `proc.cmdline` is the process name, which may contain spaces, followed by `proc.args`.
    """
    argv0 = fields.get_text("proc.exe") or name
    joined, line = fields.get_text("proc.args"), fields.get_text("proc.cmdline")
    if joined is None and line is not None:
        comm = fields.get_text("proc.name")
        has_comm = comm is not None and (line == comm or line.startswith(f"{comm} "))
        joined = line[len(comm or "") + 1 :] if has_comm else line.partition(" ")[2]
    if joined:
        return [argv0, *joined.split(" ")]
    return [argv0] if line or fields.has("proc.args") or fields.has("proc.exe") else []


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
    return {
        "container": {
            "id": container_id,
            "name": fields.get_text("container.name"),
            "image": image,
            "runtime": fields.get_text("container.type"),
        },
        "orchestrator": orchestrator_fields(
            fields.get_text("k8s.ns.name"), fields.get_text("k8s.pod.name")
        ),
    }


FALCO = Format("falco", ("output_fields",), _is_alert, _to_ecs)
