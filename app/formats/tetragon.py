"""Tetragon's events (JSON export, `tetra getevents -o json`) as ECS.

Only `process_exec` tells of a start. The other kinds are accepted, and match no rule.
"""

import re
from collections.abc import Iterator, Mapping

from app.domain.ecs_fields import Document
from app.formats.ecs_document import (
    as_integer,
    as_text,
    basename,
    build_document,
    get_path,
    image_fields,
)
from app.formats.format import EventParseError, Format

_EXEC, _EXIT = "process_exec", "process_exit"
_EVENT_KINDS = (
    _EXEC,
    _EXIT,
    "process_kprobe",
    "process_tracepoint",
    "process_uprobe",
    "process_usdt",
    "process_lsm",
    "process_loader",
    "process_throttle",
    "rate_limit_info",
)
_EXEC_FLAGS = frozenset({"execve", "execveat"})
_CLOSING_QUOTE = re.compile(r'"(?= |\Z)')


def _is_event(event: Mapping[str, object]) -> bool:
    return any(kind in event for kind in _EVENT_KINDS)


def _to_ecs(event: Mapping[str, object]) -> Document:
    kind = next(kind for kind in _EVENT_KINDS if kind in event)
    process = get_path(event, kind, "process")
    if kind == _EXEC and not as_text(get_path(process, "binary")):
        raise EventParseError(
            "a Tetragon process_exec event without process.binary, the program that was started"
        )
    action, event_types = _action_and_types(kind, as_text(get_path(process, "flags")) or "")
    exec_id = as_text(get_path(process, "exec_id"))
    return build_document(
        "tetragon",
        action,
        event_types=event_types,
        host=as_text(event.get("node_name")),
        ecs_fields={
            "@timestamp": as_text(event.get("time")) or as_text(get_path(process, "start_time")),
            # An exec makes a new exec_id; what the process does later carries the same one.
            "event": {"id": exec_id if kind == _EXEC else None},
            "process": {
                **_process_fields(process),
                "entity_id": exec_id,
                "parent": {
                    **_process_fields(get_path(event, kind, "parent")),
                    "entity_id": as_text(get_path(event, kind, "parent", "exec_id"))
                    or as_text(get_path(process, "parent_exec_id")),
                },
            },
            "user": _user_fields(process),
            **_container_fields(process),
        },
    )


def _action_and_types(kind: str, flags: str) -> tuple[str, list[str]]:
    """`event.action` and `event.type`."""
    if kind == _EXIT:
        return "exit", ["end"]
    if kind != _EXEC:
        return kind, ["info"]
    words = flags.split()
    if words and _EXEC_FLAGS.isdisjoint(words):
        # With procFS, Tetragon found it in /proc when it started itself: nothing begins here, and
        # each restart of Tetragon tells it again. Elastic Defend has the same action for that.
        return "already_running" if "procFS" in words else "fork", ["info"]
    return "exec", ["start"]


def _process_fields(process: object) -> dict[str, object]:
    binary, joined = as_text(get_path(process, "binary")), as_text(get_path(process, "arguments"))
    return {
        "name": basename(binary),
        "executable": binary,
        # Tetragon has no argv[0]. The binary is what it shows in its place.
        "args": [binary, *_split_arguments(joined or "")] if binary else [],
        "command_line": f"{binary} {joined}" if binary and joined else binary,
        "pid": as_integer(get_path(process, "pid")),
        "working_directory": as_text(get_path(process, "cwd")),
        "start": as_text(get_path(process, "start_time")),
        "user": _user_fields(process),
    }


def _split_arguments(joined: str) -> Iterator[str]:
    """The arguments in the one text that Tetragon makes of them, as far as they can be told apart.

    It puts a space between arguments and quotes around one that holds a space, and escapes nothing.
    So `-c "id; ls"` is two arguments, and quotes around anything without a space are the argument's
    own. A quote that an argument holds just before a space cannot be told from a closing one, and
    with `truncArgs` the end is missing; the text itself stays in `process.command_line`.
    """
    closings = (found.start() for found in _CLOSING_QUOTE.finditer(joined))
    closing = next(closings, None)
    at = 0
    while at < len(joined):
        end = joined.find(" ", at)
        end = len(joined) if end == -1 else end
        if joined[at] == '"':
            while closing is not None and closing <= at:
                closing = next(closings, None)
            if closing is not None and closing > end:
                yield joined[at + 1 : closing]
                at = closing + 2
                continue
        yield "" if joined[at:end] == '""' else joined[at:end]
        at = end + 1


def _user_fields(process: object) -> dict[str, object]:
    return {
        "id": as_text(get_path(process, "uid")),
        "name": as_text(get_path(process, "user", "name")),
    }


def _container_fields(process: object) -> dict[str, object]:
    pod = get_path(process, "pod")
    container = get_path(pod, "container")
    runtime, _, container_id = (as_text(get_path(container, "id")) or "").rpartition("://")
    image = image_fields(as_text(get_path(container, "image", "name")))
    digest = image_fields(as_text(get_path(container, "image", "id"))).get("hash")
    namespace, name = as_text(get_path(pod, "namespace")), as_text(get_path(pod, "name"))
    return {
        "container": {
            # Outside Kubernetes there is no pod, and of the id only its beginning.
            "id": container_id or as_text(get_path(process, "docker")),
            "name": as_text(get_path(container, "name")),
            "image": image
            | {"hash": image.get("hash") if get_path(image, "hash", "all") else digest},
            "runtime": runtime,
            # Kubernetes hands them to the containers of the pod.
            "labels": _labels(get_path(pod, "pod_labels")),
        },
        "orchestrator": {
            "type": "kubernetes" if namespace or name else None,
            "namespace": namespace,
            "resource": {"name": name, "type": "pod" if name else None},
        },
    }


def _labels(labels: object) -> dict[str, object]:
    """A pod's labels; older versions send a list of `source:key=value`."""
    if isinstance(labels, dict):
        return {str(key): as_text(value) for key, value in labels.items()}
    if isinstance(labels, list):
        pairs = (label.partition("=") for label in labels if isinstance(label, str))
        return {key.partition(":")[2] or key: value for key, _, value in pairs}
    return {}


# The other kinds can be taken for nothing else that matches, and each marker costs every event a look.
TETRAGON = Format("tetragon", (_EXEC,), _is_event, _to_ecs)
