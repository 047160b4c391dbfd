"""Conversion of Tetragon events (JSON export, `tetra getevents -o json`) to ECS.

Only `process_exec` is a process start. Other kinds of events are accepted, but match no rule.
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
    orchestrator_fields,
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
            "a Tetragon process_exec event without process.binary, the path of the started program"
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
            # Tetragon gives each exec a new exec_id. Later events of the process have the same exec_id, so
            # only the process_exec event uses it as event id.
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
    """Return the values of `event.action` and `event.type`."""
    if kind == _EXIT:
        return "exit", ["end"]
    if kind != _EXEC:
        return kind, ["info"]
    words = flags.split()
    if words and _EXEC_FLAGS.isdisjoint(words):
        # The flag procFS marks a process that Tetragon found in /proc when Tetragon itself started.
        # Such an event is not a process start, and Tetragon sends it again after every restart. Elastic
        # Defend uses the action already_running for such processes.
        return "already_running" if "procFS" in words else "fork", ["info"]
    return "exec", ["start"]


def _process_fields(process: object) -> dict[str, object]:
    binary, joined = as_text(get_path(process, "binary")), as_text(get_path(process, "arguments"))
    return {
        "name": basename(binary),
        "executable": binary,
        # Tetragon does not send argv[0], so the path of the binary is used as argv[0].
        "args": [binary, *_split_arguments(joined or "")] if binary else [],
        "command_line": f"{binary} {joined}" if binary and joined else binary,
        "pid": as_integer(get_path(process, "pid")),
        "working_directory": as_text(get_path(process, "cwd")),
        "start": as_text(get_path(process, "start_time")),
        "user": _user_fields(process),
    }


def _split_arguments(joined: str) -> Iterator[str]:
    """Split the arguments, which Tetragon joins to one text.

    Tetragon separates arguments by a space. If an argument contains a space, Tetragon puts quotes around the
    argument. The text `-c "id; ls"` therefore has two arguments, `-c` and `id; ls`. If a word in quotes
    contains no space, such as `"id"`, the quotes are part of the argument. One exception is `""`, which
    is an empty argument.

    The result can be wrong or incomplete in two cases:

    - An argument contains a quote before a space. Tetragon does not escape this quote, so the quote looks
      like a closing quote.
    - The event has the flag `truncArgs`, so the end of the text is missing.

    `process.command_line` contains the text as Tetragon sent it.
    """
    closing_quotes = (match.start() for match in _CLOSING_QUOTE.finditer(joined))
    closing = next(closing_quotes, None)
    start = 0
    while start < len(joined):
        end = joined.find(" ", start)
        end = len(joined) if end == -1 else end
        if joined[start] == '"':
            while closing is not None and closing <= start:
                closing = next(closing_quotes, None)
            if closing is not None and closing > end:
                yield joined[start + 1 : closing]
                start = closing + 2
                continue
        yield "" if joined[start:end] == '""' else joined[start:end]
        start = end + 1


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
    return {
        "container": {
            # Outside Kubernetes, the event has no `pod`. Then `process.docker` has the first characters of
            # the container id.
            "id": container_id or as_text(get_path(process, "docker")),
            "name": as_text(get_path(container, "name")),
            "image": image
            | {"hash": image.get("hash") if get_path(image, "hash", "all") else digest},
            "runtime": runtime,
            # Kubernetes sets labels on pods, not on containers. The container gets the labels of its pod.
            "labels": _labels(get_path(pod, "pod_labels")),
        },
        "orchestrator": orchestrator_fields(
            as_text(get_path(pod, "namespace")), as_text(get_path(pod, "name"))
        ),
    }


def _labels(labels: object) -> dict[str, object]:
    """Return the labels of the pod.

    Tetragon sends the labels as an object. Older versions send a list of texts such as `k8s:app=web`, which
    means that the label `app` has the value `web`.
    """
    if isinstance(labels, dict):
        return {str(key): as_text(value) for key, value in labels.items()}
    if isinstance(labels, list):
        pairs = (label.partition("=") for label in labels if isinstance(label, str))
        return {key.partition(":")[2] or key: value for key, _, value in pairs}
    return {}


# The only marker key is process_exec, because Tetragon events without this key match no rule. The detector
# searches every event for each marker key, so each additional marker key would cost time.
TETRAGON = Format("tetragon", (_EXEC,), _is_event, _to_ecs)
