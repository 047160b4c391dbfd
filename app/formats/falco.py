"""Conversion of Falco alerts (`json_output`) to ECS, sent directly or through Falcosidekick.

Falco sends a field only if the rule's output names it, so nearly every field may be missing. An alert
about a started process becomes an exec event. Any other alert is accepted and matches no rule.
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
# The name of a DaemonSet's pod ends in five characters from Kubernetes' alphabet for random suffixes.
_FALCO_POD_NAME = re.compile(
    r"(?:[a-z0-9-]+-)?falco(?:-[a-z0-9-]+)?-[bcdfghjklmnpqrstvwxz2456789]{5}\Z"
)


class _OutputFields:
    """Accessor for `output_fields`.

    For Elasticsearch, Falcosidekick can write `proc.name` as `proc_name`; both spellings are accepted.
    """

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._values = dict(_flatten(fields, ""))
        self._is_dotted = any("." in name for name in self._values)

    def get(self, *names: str) -> object:
        """Return the value of the first of `names` that has one, or None."""
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
    """Yield (dotted name, value); a shipper may have turned `proc.name` into nested objects."""
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
    # Falcosidekick assigns each alert an id; Falco does not.
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
    """Return `proc.name`, or the first word of `proc.cmdline`, which begins with the process name."""
    comm = fields.get_text("proc.name")
    name = resolve_process_name(comm, fields.get_text("proc.exepath"))
    return name or (fields.get_text("proc.cmdline") or "").partition(" ")[0] or None


def _is_non_process_alert(alert: Mapping[str, object], evt_type: str | None) -> bool:
    """Return whether the alert is not about a started process: Falco's own state, audit logs, files."""
    source = as_text(alert.get("source"))
    return (
        (as_text(alert.get("rule")) or "").startswith("Falco internal")
        or (source is not None and source not in _SYSCALL_SOURCES)
        or (evt_type is not None and evt_type not in _EXEC_SYSCALLS)
    )


def _is_process_start(evt_type: str | None, fields: _OutputFields) -> bool:
    if fields.get_text("evt.res") not in (None, "SUCCESS", "0"):
        # A failed exec started nothing; the fields describe the process that called it.
        return False
    if evt_type is None:
        # Many rules omit %evt.type. The alert still proves that the process runs, so it counts as a
        # start unless it has fd fields, which belong to alerts about a file or a connection.
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

    In a DaemonSet, `hostname` names Falco's pod instead of the node. The host name is then that of the node,
    if the alert has it.
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

    The text is split at each space, which is exact unless an argument contains a space; quotes belong
    to the arguments. `proc.args` excludes argv[0], which is `proc.exe`. `proc.cmdline` is the process
    name, which may contain spaces, followed by the same arguments.
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
