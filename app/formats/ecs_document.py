"""Functions that the format modules share: they read optional values and build ECS documents.

If the agent did not send a value, the document has no field for it. No default is set, because rules and
pages would mistake a default for a value that the agent sent.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from app.domain.ecs_fields import Document

# The kernel's limit for a thread name, in bytes: TASK_COMM_LEN minus the terminating NUL.
MAX_COMM_BYTES = 15


def build_document(
    agent: str,
    action: str,
    *,
    event_types: Iterable[str],
    host: str | None,
    ecs_fields: Mapping[str, object],
    is_alert: bool = False,
) -> Document:
    """Return the ECS document of a process event.

    `action` becomes `event.action`, `event_types` becomes `event.type`, and `agent` becomes both `agent.type`
    and `event.module`. `ecs_fields` overrides these fields. Empty values are removed.
    """
    event = {
        "kind": "alert" if is_alert else "event",
        "category": ["process"],
        "type": list(event_types),
        "action": action,
        "module": agent,
    }
    base = {
        "event": event,
        "agent": {"type": agent},
        "host": {"name": host, "os": {"type": "linux"}},
    }
    return drop_empty(deep_merge(base, ecs_fields))


def deep_merge(base: Mapping[str, object], more: Mapping[str, object]) -> dict[str, object]:
    """Return a copy of `base` updated with `more`; nested objects are merged recursively."""
    merged = dict(base)
    for key, value in more.items():
        current = merged.get(key)
        if isinstance(current, dict) and isinstance(value, dict):
            value = deep_merge(current, value)
        merged[key] = value
    return merged


def drop_empty(tree: Mapping[str, object]) -> dict[str, object]:
    """Return `tree` without None, empty strings, empty lists and empty objects."""
    kept: dict[str, object] = {}
    for key, value in tree.items():
        inner = drop_empty(value) if isinstance(value, dict) else value
        # This also keeps False, because False == 0.
        if inner or inner == 0:
            kept[key] = inner
    return kept


def get_path(value: object, *path: str) -> object:
    """Return the value at `path` in nested objects, or None if a key is missing."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def as_text(value: object) -> str | None:
    """Return a non-empty string, or a number as a string; None for any other value."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def as_texts(value: object) -> list[str] | None:
    """Return the strings and numbers of a list as strings, or None if `value` is not a list.

    Empty strings are kept, because an empty argument is an argument.
    """
    if not isinstance(value, list):
        return None
    return [str(item) for item in value if isinstance(item, str | int | float)]


def as_integer(value: object) -> int | None:
    """Convert an integer, an integral float or decimal text to int. Return None for any other value.

    Integers are not converted to float, so that numbers above 2^53 keep every digit.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value.is_integer() else None
    if isinstance(value, str) and len(value) < 40 and value.isascii():
        return int(value) if value.removeprefix("-").isdigit() else None
    return None


def nanoseconds_to_rfc3339(nanoseconds: int) -> str | None:
    """Format nanoseconds since 1970 as RFC 3339 with nine decimals.

    Return None if the time is outside the range of `datetime`.
    """
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    try:
        whole_second = datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{whole_second:%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def basename(path: str | None) -> str | None:
    return (path or "").rpartition("/")[2] or None


def resolve_process_name(comm: str | None, path: str | None) -> str | None:
    """Return the process name: `comm`, or the base name of `path` if `comm` is truncated or missing.

    `comm` is the kernel's name of the thread, which has at most 15 bytes.
    """
    name = basename(path)
    if comm is None:
        return name
    may_be_truncated = len(comm.encode("utf-8", "surrogatepass")) >= MAX_COMM_BYTES
    return name if may_be_truncated and name and name.startswith(comm) else comm


def image_fields(reference: str | None) -> dict[str, object]:
    """Split an image reference such as `registry:5000/team/web:9.1@sha256:…` into `container.image.*`."""
    if reference is None:
        return {}
    name, _, digest = reference.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag or name.startswith("sha256:"):
        repository, tag = name, ""
    return {
        "name": repository,
        "tag": [tag] if tag else [],
        "hash": {"all": [digest] if digest else []},
    }


def orchestrator_fields(namespace: str | None, pod: str | None) -> dict[str, object]:
    """Return the `orchestrator.*` fields of a Kubernetes pod."""
    return {
        "type": "kubernetes" if namespace or pod else None,
        "namespace": namespace,
        "resource": {"name": pod, "type": "pod" if pod else None},
    }
