"""What the formats of agents share: reading a value that may be missing, and building the ECS document.

Only what an agent says is passed on. What it does not say stays away, so that a rule and a page see
that it is missing.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from app.domain.ecs_fields import Document

# The kernel's own limit for a thread's name (TASK_COMM_LEN with its NUL), in bytes.
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
    """The ECS document of a process event; `kinds` are its `event.type`, `told` what else is known."""
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
    """`base` with `more` laid over it, objects inside each other included."""
    found = dict(base)
    for key, value in more.items():
        known = found.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            value = deep_merge(known, value)
        found[key] = value
    return found


def drop_empty(tree: Mapping[str, object]) -> dict[str, object]:
    """`tree` without what is None, an empty text, an empty list or an empty object."""
    kept: dict[str, object] = {}
    for key, value in tree.items():
        inner = drop_empty(value) if isinstance(value, dict) else value
        # 0 and False are something that an agent says.
        if inner or inner == 0:
            kept[key] = inner
    return kept


def get_path(value: object, *path: str) -> object:
    """What `value` holds under `path`, key by key; None where there is nothing, or no object."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def as_text(value: object) -> str | None:
    """A text that is not empty, or a number as text; None for anything else."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def as_texts(value: object) -> list[str] | None:
    """The texts in a list, empty ones too: an empty argument is an argument. None if it is no list."""
    if not isinstance(value, list):
        return None
    return [str(item) for item in value if isinstance(item, str | int | float)]


def as_integer(value: object) -> int | None:
    """A whole number, also as decimal text; numbers beyond 2^53 keep every digit."""
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
    """Nanoseconds since 1970 as RFC 3339 with all nine digits, None if no calendar has them."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    try:
        at = datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{at:%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def basename(path: str | None) -> str | None:
    return (path or "").rpartition("/")[2] or None


def resolve_process_name(comm: str | None, path: str | None) -> str | None:
    """The process name: the kernel's, or the file's where the kernel cut it (or the agent left it out)."""
    name = basename(path)
    if comm is None:
        return name
    is_cut = len(comm.encode("utf-8", "surrogatepass")) >= MAX_COMM_BYTES
    return name if is_cut and name is not None and name.startswith(comm) else comm


def image_fields(reference: str | None) -> dict[str, object]:
    """An image reference as `container.image.*`: `registry:5000/team/web:9.1@sha256:…` in its parts."""
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
