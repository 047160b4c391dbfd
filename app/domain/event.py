"""One process event as pages, exclusions and evidence read it; the agent's own bytes are kept elsewhere.

Built once, for a match, from the normalised ECS document. Every string in it is attacker-written and
already storable (see `text.storable`), so matching, storing and showing see the same characters.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache

from app.domain.ecs import Document, below, first_number, first_text, values
from app.domain.ssh import SshUse, headline, masked_line, read_ssh
from app.domain.text import storable


@dataclass(frozen=True)
class Process:
    """One process of the event's lineage (ECS `process.*`)."""

    name: str | None
    executable: str | None
    args: tuple[str, ...]
    pid: int | None
    entity_id: str | None
    user_name: str | None
    working_directory: str | None = None
    sha256: str | None = None
    title: str | None = None

    @cached_property
    def command_line(self) -> str:
        """The arguments as one line a shell would read back, passwords masked (ECS `process.args`)."""
        return (
            masked_line(self.args, name=self.name) if self.args else self.title or self.name or ""
        )


@dataclass(frozen=True)
class Event:
    """`id` is unique per agent key; `occurred_at` is the agent's clock, aware UTC, or None."""

    id: str
    occurred_at: datetime | None
    host_name: str | None
    container_id: str | None
    container_name: str | None
    image_name: str | None
    image_tags: tuple[str, ...]
    image_digests: tuple[str, ...]
    labels: Mapping[str, str]
    namespace: str | None
    pod: str | None
    user_name: str | None
    user_id: str | None
    process: Process
    parent: Process | None
    entry_leader: Process | None
    entry_type: str | None
    action: str | None
    interactive: bool | None
    source_ip: str | None
    agent_type: str | None
    ssh: SshUse | None = field(repr=False)

    @property
    def container(self) -> str | None:
        """The name a person would use for the container: its name, else the first 12 digits of its id."""
        return self.container_name or (self.container_id[:12] if self.container_id else None)

    @property
    def headline(self) -> str:
        """What happened, in one line; holds text from the event, so escape it before showing it."""
        place = self.container or ("a container" if self.entry_type == "container" else "a host")
        if self.ssh is not None:
            return headline(self.ssh, container=place)
        return f"{self.process.name or 'a process'} in {place}"

    @property
    def image(self) -> str | None:
        """Image name with its first tag, unless the name already carries one."""
        if self.image_name and self.image_tags and ":" not in self.image_name.rpartition("/")[2]:
            return f"{self.image_name}:{self.image_tags[0]}"
        return self.image_name


def event_from_ecs(document: Document) -> Event:
    """Read a normalised ECS document; a missing or wrongly typed field is None, never an error."""
    process = _process(document, "process")
    if process is None:
        process = Process(None, None, (), None, None, None)
    occurred_at = read_time(first_text(document, "@timestamp"))
    return Event(
        id=_id(document),
        occurred_at=occurred_at,
        host_name=_text(document, "host.name") or _text(document, "host.hostname"),
        container_id=_text(document, "container.id"),
        container_name=_text(document, "container.name"),
        image_name=_text(document, "container.image.name"),
        image_tags=_texts(document, "container.image.tag"),
        image_digests=_texts(document, "container.image.hash.all"),
        labels=_labels(document),
        namespace=_text(document, "orchestrator.namespace"),
        pod=_text(document, "orchestrator.resource.name"),
        user_name=_text(document, "user.name") or _text(document, "process.user.name"),
        user_id=_text(document, "user.id") or _text(document, "process.user.id"),
        process=process,
        parent=_process(document, "process.parent"),
        entry_leader=_process(document, "process.entry_leader"),
        entry_type=_text(document, "process.entry_leader.entry_meta.type"),
        action=_text(document, "event.action"),
        interactive=next(
            (v for v in values(document, "process.interactive") if isinstance(v, bool)), None
        ),
        source_ip=_text(document, "process.entry_leader.entry_meta.source.ip"),
        agent_type=_text(document, "agent.type"),
        ssh=_ssh(process.name, process.args or (process.title or process.name,))
        if process.name
        else None,
    )


# Machines call the same thing again and again; what is longer than this is read each time.
_REMEMBERED_CHARACTERS = 2_000


def _ssh(name: str, args: tuple[str, ...]) -> SshUse | None:
    if len(name) + sum(map(len, args)) > _REMEMBERED_CHARACTERS:
        return read_ssh(name, args)
    return _remembered(name, args)


_remembered = lru_cache(maxsize=1024)(read_ssh)


# PostgreSQL indexes no longer text than 2,700 bytes, and a real id is a UUID or some such.
ID_LIMIT = 500
_TELLING_APART = (
    "host.name",
    "@timestamp",
    "event.action",
    "process.entity_id",
    "process.pid",
    "process.name",
    "process.executable",
    "process.command_line",
    "container.id",
)


def _id(document: Document) -> str:
    told = _text(document, "event.id")
    if told is None:
        return derived_id(document)
    if len(told) <= ID_LIMIT:
        return told
    return f"long-{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def derived_id(document: Document) -> str:
    """An id for an event whose agent gave none: the same event sent twice gets the same one.

    Host, time to the digit the agent sent, process and arguments tell two executions apart. An event
    without time or process is known by all it says: two of them must not be taken for one.
    """
    place = {name: [str(v) for v in values(document, name)] for name in _TELLING_APART}
    known: object = place, [str(value) for value in values(document, "process.args")]
    if not place["@timestamp"] or not (place["process.entity_id"] or place["process.pid"]):
        known = document
    told = json.dumps(known, sort_keys=True, default=str)
    return f"derived-{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def read_time(text: str | None) -> datetime | None:
    """RFC 3339 with up to nine digits of a second, or milliseconds since 1970, as aware UTC.

    Elasticsearch's `date` type takes both. What cannot be read is None: an agent's clock never
    decides whether its event counts.
    """
    if not text or len(text) > 40:
        return None
    try:
        if text.isascii() and text.lstrip("-").isdigit():
            return datetime.fromtimestamp(int(text) / 1000, tz=UTC)
        head, dot, rest = text.partition(".")
        digits = len(rest) - len(rest.lstrip("0123456789"))
        moment = datetime.fromisoformat(
            head + dot + rest[:digits][:6].ljust(6, "0") + rest[digits:] if dot else text
        )
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _text(document: Document, name: str) -> str | None:
    found = first_text(document, name)
    return storable(found) if found else None


def _texts(document: Document, name: str) -> tuple[str, ...]:
    return tuple(storable(str(value)) for value in values(document, name))


def _arguments(document: Document, at: str) -> tuple[str, ...]:
    """`args`, else the command line split as a shell would: masking and reading need the words."""
    args = _texts(document, f"{at}.args")
    line = None if args else _text(document, f"{at}.command_line")
    if line is None:
        return args
    try:
        return tuple(shlex.split(line))
    except ValueError:
        return tuple(line.split())


def _process(document: Document, at: str) -> Process | None:
    name = _text(document, f"{at}.name")
    executable = _text(document, f"{at}.executable")
    if name is None and executable:
        name = executable.rpartition("/")[2] or None
    args = _arguments(document, at)
    pid = first_number(document, f"{at}.pid")
    if name is None and pid is None and not args:
        return None
    return Process(
        name=name,
        executable=executable,
        args=args,
        pid=pid,
        entity_id=_text(document, f"{at}.entity_id"),
        user_name=_text(document, f"{at}.user.name"),
        working_directory=_text(document, f"{at}.working_directory"),
        sha256=_text(document, f"{at}.hash.sha256"),
        title=_text(document, f"{at}.title"),
    )


def _labels(document: Document) -> dict[str, str]:
    """`container.labels` as flat `key: value`; keys keep their own dots (`app.kubernetes.io/name`)."""
    labels: dict[str, str] = {}
    for key, value in below(document, "container.labels"):
        _flatten(key, value, labels)
    return labels


def _flatten(key: str, value: object, into: dict[str, str]) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _flatten(f"{key}.{name}", inner, into)
    elif isinstance(value, list):
        into[storable(key)] = storable(", ".join(str(item) for item in value))
    elif value is not None:
        into[storable(key)] = storable(str(value))
