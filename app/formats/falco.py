"""Falco's alerts (`json_output`), direct or through Falcosidekick, as ECS.

Falco sends a field only when the rule's output names it, so nearly everything may be missing. An
alert about a process that was started is an exec; any other alert is accepted and matches no rule.
"""

import re
from collections.abc import Iterator, Mapping

from app.domain.ecs import Document
from app.domain.event import read_time
from app.formats.agent_event import (
    document,
    full_name,
    image,
    moment,
    text,
    whole,
)
from app.formats.format import Format, Unreadable

_EXECS = ("execve", "execveat")
# What Falco writes for a field that it could not read.
_UNKNOWN = "<NA>"
# A container field says this when the process ran outside any container.
_NO_CONTAINER = "host"
_SYSCALLS = ("syscall", "syscalls")
# The last part of a DaemonSet's pod is five of the letters that Kubernetes draws from.
_OWN_POD = re.compile(r"(?:[a-z0-9-]+-)?falco(?:-[a-z0-9-]+)?-[bcdfghjklmnpqrstvwxz2456789]{5}\Z")


class _Fields:
    """`output_fields`, of which Falcosidekick can write `proc.name` as `proc_name` for Elasticsearch."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._values = dict(_flat(fields, ""))
        self._dotted = any("." in name for name in self._values)

    def value(self, *names: str) -> object:
        """What the first of `names` that is known says."""
        for name in names:
            value = self._values.get(self._key(name))
            if value not in (None, "", _UNKNOWN):
                return value
        return None

    def text(self, *names: str) -> str | None:
        return text(self.value(*names))

    def has(self, name: str) -> bool:
        return self._values.get(self._key(name)) is not None

    def any_below(self, prefix: str) -> bool:
        start = self._key(f"{prefix}.")
        return any(self.value(name) for name in self._values if name.startswith(start))

    def _key(self, name: str) -> str:
        return name if self._dotted else name.replace(".", "_")


def _flat(fields: Mapping[str, object], above: str) -> Iterator[tuple[str, object]]:
    """Names and values; a shipper may have made an object of `proc.name`."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _is_alert(alert: Mapping[str, object]) -> bool:
    if "output_fields" in alert:
        return True
    return isinstance(alert.get("rule"), str) and {"output", "priority"} <= alert.keys()


def _to_ecs(alert: Mapping[str, object]) -> Document:
    given = alert.get("output_fields")
    if not isinstance(given, dict):
        raise Unreadable(
            "a Falco alert without output_fields, the object that holds what its rule saw; in falco.yaml "
            "set json_include_output_fields_property to true"
        )
    fields = _Fields(given)
    name = _name(fields)
    host, own_pod = _host(alert, fields)
    # Falcosidekick gives each alert an id; Falco itself does not.
    event: dict[str, object] = {"id": text(alert.get("uuid"))}
    told: dict[str, object] = {
        "@timestamp": _time(alert, fields),
        "rule": {"name": text(alert.get("rule"))},
        "message": text(alert.get("output")),
        "tags": [tag for tag in _list(alert.get("tags")) if isinstance(tag, str)],
        "agent": {"name": own_pod},
        "event": event,
    }
    evt_type = fields.text("evt.type")
    if name is None:
        if not _is_about_something_else(alert, evt_type):
            raise Unreadable(
                "a Falco alert whose output_fields has no proc.name, and no proc.exepath or "
                "proc.cmdline instead; add %proc.name to the rule's output"
            )
        event["category"] = []
        return document("falco", "alert", kinds=["info"], host=host, told=told, alert=True)
    started = _is_start(evt_type, fields)
    return document(
        "falco",
        "exec" if started else evt_type or "alert",
        kinds=["start"] if started else ["info"],
        host=host,
        told={**told, **_process(name, fields), **_place(fields)},
        alert=True,
    )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _name(fields: _Fields) -> str | None:
    """`proc.name`; Falco's `proc.cmdline` begins with it too."""
    comm = fields.text("proc.name")
    found = full_name(comm, fields.text("proc.exepath"))
    return found or (fields.text("proc.cmdline") or "").partition(" ")[0] or None


def _is_about_something_else(alert: Mapping[str, object], evt_type: str | None) -> bool:
    """Whether it is no wonder that the alert names no process: Falco's own state, audit logs, files."""
    source = text(alert.get("source"))
    return (
        (text(alert.get("rule")) or "").startswith("Falco internal")
        or (source is not None and source not in _SYSCALLS)
        or (evt_type is not None and evt_type not in _EXECS)
    )


def _is_start(evt_type: str | None, fields: _Fields) -> bool:
    if fields.text("evt.res") not in (None, "SUCCESS", "0"):
        # What failed did not start, and the fields tell of the process that tried.
        return False
    if evt_type is None:
        # Many rules do not name %evt.type. Such an alert still shows that the process runs, which
        # must not be lost; one about a file or a connection has fd fields, and is not a start.
        return not fields.any_below("fd")
    return evt_type in _EXECS


def _time(alert: Mapping[str, object], fields: _Fields) -> str | None:
    for told in (alert.get("time"), alert.get("@timestamp"), fields.value("evt.time.iso8601")):
        if isinstance(told, str) and read_time(told) is not None:
            return told
    nanoseconds = whole(fields.value("evt.time"))
    return None if nanoseconds is None else moment(nanoseconds)


def _host(alert: Mapping[str, object], fields: _Fields) -> tuple[str | None, str | None]:
    """The host, and Falco's own pod when that is what `hostname` names: it is no place to look at."""
    node = fields.text("k8s.node.name", "k8smeta.node.name", "node.name")
    hostname = text(alert.get("hostname")) or fields.text("evt.hostname")
    if hostname is not None and _OWN_POD.match(hostname):
        return node, hostname
    return node or hostname, None


def _process(name: str, fields: _Fields) -> dict[str, object]:
    tty = whole(fields.value("proc.tty"))
    return {
        "process": {
            "name": name,
            "executable": fields.text("proc.exepath"),
            "args": _arguments(name, fields),
            "command_line": fields.text("proc.cmdline"),
            "pid": whole(fields.value("proc.pid")),
            "vpid": whole(fields.value("proc.vpid")),
            "working_directory": fields.text("proc.cwd"),
            "interactive": None if tty is None else tty != 0,
            "parent": {
                "name": full_name(fields.text("proc.pname"), fields.text("proc.pexepath")),
                "executable": fields.text("proc.pexepath"),
                "command_line": fields.text("proc.pcmdline"),
                "pid": whole(fields.value("proc.ppid")),
            },
        },
        "user": {"name": fields.text("user.name"), "id": fields.text("user.uid")},
    }


def _arguments(name: str, fields: _Fields) -> list[str]:
    """argv as far as it can be told: Falco joins arguments with spaces and quotes none of them.

    Split at each space, the words are exact unless an argument holds a space; quotes in them are the
    arguments' own. `proc.args` has no argv[0] (that is `proc.exe`); `proc.cmdline` is the name,
    which may hold spaces, and the same arguments.
    """
    first = fields.text("proc.exe") or name
    joined, line = fields.text("proc.args"), fields.text("proc.cmdline")
    if joined is None and line is not None:
        comm = fields.text("proc.name")
        known = comm is not None and (line == comm or line.startswith(f"{comm} "))
        joined = line[len(comm or "") + 1 :] if known else line.partition(" ")[2]
    if joined:
        return [first, *joined.split(" ")]
    return [first] if line or fields.has("proc.args") or fields.has("proc.exe") else []


def _place(fields: _Fields) -> dict[str, object]:
    container_id = fields.text("container.full_id", "container.id")
    if container_id in (None, _NO_CONTAINER):
        return {}
    repository, tag = (
        fields.text("container.image.repository"),
        fields.text("container.image.tag"),
    )
    named = image(fields.text("container.image"))
    if repository is not None:
        named = named | {"name": repository, "tag": [tag] if tag else named.get("tag")}
    digest = fields.text("container.image.digest")
    if digest is not None:
        named["hash"] = {"all": [digest]}
    namespace, pod = fields.text("k8s.ns.name"), fields.text("k8s.pod.name")
    return {
        "container": {
            "id": container_id,
            "name": fields.text("container.name"),
            "image": named,
            "runtime": fields.text("container.type"),
        },
        "orchestrator": {
            "type": "kubernetes" if namespace or pod else None,
            "namespace": namespace,
            "resource": {"name": pod, "type": "pod" if pod else None},
        },
    }


FALCO = Format("falco", ("output_fields",), _is_alert, _to_ecs)
