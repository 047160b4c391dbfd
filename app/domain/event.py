"""Process events as typed objects, which are built from ECS documents.

An attacker may control every string in an Event. Each string is already escaped by `text.escape_unstorable`.
For example, a NUL character becomes the text `\\x00`. Exclusions, the database and pages all use the escaped
text. If an event matches a rule, the original bytes of the event are stored with the match.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache

from app.domain.ecs_fields import Document, entries_under, field_values, first_number, first_text
from app.domain.ssh import (
    SshInvocation,
    add_event_findings,
    build_headline,
    masked_command_line,
    masking_name,
    normalize_host,
    parse_ssh,
)
from app.domain.text import escape_unstorable


@dataclass(frozen=True)
class Process:
    """One process in an event.

    An event can describe three processes:

    - the main process (ECS `process`)
    - the parent of the main process (`process.parent`)
    - the entry leader (`process.entry_leader`), which is the first process of a session such as an SSH login
    """

    name: str | None
    executable: str | None
    args: tuple[str, ...]
    pid: int | None
    entity_id: str | None
    user_name: str | None
    working_directory: str | None = None
    sha256: str | None = None
    title: str | None = None
    arguments_were_split: bool = False
    """True if the agent sent `process.args` as one text, which was split at spaces and quotes."""

    @cached_property
    def command_line(self) -> str:
        """The arguments (ECS `process.args`) as one shell-quoted line with passwords masked.

        If the process has no arguments, the line is the title of the process. If the process has no title
        either, the line is the name of the process.
        """
        return (
            masked_command_line(self.args, name=masking_name(self.name, self.executable))
            if self.args
            else self.title or self.name or ""
        )


@dataclass(frozen=True)
class Event:
    """A process event.

    `id` is unique per API key. `occurred_at` is the time that the agent reports (aware UTC), or None.
    """

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
    ssh: SshInvocation | None = field(repr=False)

    @property
    def container(self) -> str | None:
        """The container's name, or the first 12 digits of its id."""
        return self.container_name or (self.container_id[:12] if self.container_id else None)

    @property
    def headline(self) -> str:
        """A one-line summary. It contains text from the event: escape it before display."""
        place = self.container_name or (f"pod {self.pod}" if self.pod else self.container)
        place = place or ("a container" if self.entry_type == "container" else "a host")
        if self.ssh is not None:
            return build_headline(self.ssh, container=place)
        return f"{self.process.name or 'a process'} in {place}"

    @property
    def image(self) -> str | None:
        """The image name with its first tag, unless the name already contains a tag."""
        if self.image_name and self.image_tags and ":" not in self.image_name.rpartition("/")[2]:
            return f"{self.image_name}:{self.image_tags[0]}"
        return self.image_name


def event_from_ecs(document: Document) -> Event:
    """Build an Event from an ECS document. A field that is missing or has a wrong type becomes None."""
    process = _process(document, "process")
    if process is None:
        process = Process(None, None, (), None, None, None)
    occurred_at = parse_timestamp(first_text(document, "@timestamp"))
    return Event(
        id=_event_id(document),
        occurred_at=occurred_at,
        host_name=_storable_text(document, "host.name")
        or _storable_text(document, "host.hostname"),
        container_id=_storable_text(document, "container.id"),
        container_name=_storable_text(document, "container.name"),
        image_name=_storable_text(document, "container.image.name"),
        image_tags=_storable_texts(document, "container.image.tag"),
        image_digests=_storable_texts(document, "container.image.hash.all"),
        labels=_labels(document),
        namespace=_storable_text(document, "orchestrator.namespace"),
        pod=_storable_text(document, "orchestrator.resource.name"),
        user_name=_storable_text(document, "user.name")
        or _storable_text(document, "process.user.name"),
        user_id=_storable_text(document, "user.id") or _storable_text(document, "process.user.id"),
        process=process,
        parent=_process(document, "process.parent"),
        entry_leader=_process(document, "process.entry_leader"),
        entry_type=_storable_text(document, "process.entry_leader.entry_meta.type"),
        action=_storable_text(document, "event.action"),
        interactive=next(
            (v for v in field_values(document, "process.interactive") if isinstance(v, bool)), None
        ),
        source_ip=_storable_text(document, "process.entry_leader.entry_meta.source.ip"),
        agent_type=_storable_text(document, "agent.type"),
        ssh=_parse_ssh(process, field_values(document, "host.ip")),
    )


# Results are cached, because hosts run the same command lines again and again. Command lines with more
# characters than this limit are not cached, so that the cache stays small.
_MAX_CACHED_CHARACTERS = 2_000
# An argument counts at least this much, because an empty string occupies memory too.
_CHARACTERS_PER_ARGUMENT = 50
# Longer command lines are split at white space, because shlex takes quadratic time for long words.
_MAX_SHELL_SPLIT_LENGTH = 16_384


def _parse_ssh(process: Process, host_addresses: Sequence[object]) -> SshInvocation | None:
    name, executable = process.name, process.executable
    args = process.args or tuple(filter(None, (process.title or process.name,)))
    if not args:
        return None
    size = sum(
        len(text) + _CHARACTERS_PER_ARGUMENT for text in (name or "", executable or "", *args)
    )
    if size > _MAX_CACHED_CHARACTERS:
        invocation = parse_ssh(name, args, executable=executable)
    else:
        invocation = _parse_ssh_cached(name, args, executable=executable)
    if invocation is None:
        return None
    return add_event_findings(
        invocation,
        host_addresses={normalize_host(str(address)) for address in host_addresses},
        arguments_were_split=process.arguments_were_split,
    )


_parse_ssh_cached = lru_cache(maxsize=1024)(parse_ssh)


# A longer id is replaced by its hash, because PostgreSQL cannot index a text of more than about 2,700 bytes.
# The ids of real agents are far shorter.
MAX_EVENT_ID_LENGTH = 500
_IDENTITY_FIELDS = (
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


def _event_id(document: Document) -> str:
    agent_id = _storable_text(document, "event.id")
    if agent_id is None:
        return derive_event_id(document)
    if len(agent_id) <= MAX_EVENT_ID_LENGTH:
        return agent_id
    return f"long-{hashlib.sha256(agent_id.encode()).hexdigest()[:32]}"


def derive_event_id(document: Document) -> str:
    """Return a deterministic id for an event without `event.id`.

    If an agent sends an event twice, both copies get the same id. The second copy is then recognised as a
    duplicate. Usually the id is a hash of `_IDENTITY_FIELDS` and the arguments of the process.

    In two cases, `_IDENTITY_FIELDS` may be equal in different events, so the complete document is hashed:

    - The event has no time.
    - The event has no process id and no entity id.
    """
    fields = {name: [str(v) for v in field_values(document, name)] for name in _IDENTITY_FIELDS}
    identity: object = fields, [str(value) for value in field_values(document, "process.args")]
    if not fields["@timestamp"] or not (fields["process.entity_id"] or fields["process.pid"]):
        identity = document
    serialized = json.dumps(identity, sort_keys=True, default=str)
    return f"derived-{hashlib.sha256(serialized.encode()).hexdigest()[:32]}"


def parse_timestamp(text: str | None) -> datetime | None:
    """Parse an RFC 3339 time, or milliseconds since 1970, to an aware UTC datetime.

    Elasticsearch's `date` type accepts both forms. Fractions of a second are truncated to microseconds. Any
    other text gives None instead of an error, because an event with an invalid time must not be rejected.
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


def _storable_text(document: Document, name: str) -> str | None:
    text = first_text(document, name)
    return escape_unstorable(text) if text else None


def _storable_texts(document: Document, name: str) -> tuple[str, ...]:
    return tuple(escape_unstorable(str(value)) for value in field_values(document, name))


def _arguments(document: Document, prefix: str, name: str | None) -> tuple[tuple[str, ...], bool]:
    """Return (arguments, whether they were split) of the process whose fields begin with `prefix`.

    The parser of SSH command lines and the masking of passwords need separate arguments. If `args` is
    missing, the field `command_line` is split as a shell does. Some agents send all arguments as one text in
    `args`. This text is split too if it begins with the name of the process. A title such as
    `sshd: ana [priv]` does not.
    """
    args = _storable_texts(document, f"{prefix}.args")
    words = args[0].split(None, 1) if len(args) == 1 else []
    if len(words) == 2 and words[0].rpartition("/")[2] == name:
        return _split_command_line(args[0]), True
    line = None if args else _storable_text(document, f"{prefix}.command_line")
    return (args if line is None else _split_command_line(line)), False


def _split_command_line(line: str) -> tuple[str, ...]:
    if len(line) > _MAX_SHELL_SPLIT_LENGTH:
        return tuple(line.split())
    try:
        return tuple(shlex.split(line))
    except ValueError:
        return tuple(line.split())


def _process(document: Document, prefix: str) -> Process | None:
    name = _storable_text(document, f"{prefix}.name")
    executable = _storable_text(document, f"{prefix}.executable")
    if name is None and executable:
        name = executable.rpartition("/")[2] or None
    args, arguments_were_split = _arguments(document, prefix, name)
    pid = first_number(document, f"{prefix}.pid")
    if name is None and pid is None and not args:
        return None
    return Process(
        name=name,
        executable=executable,
        args=args,
        pid=pid,
        entity_id=_storable_text(document, f"{prefix}.entity_id"),
        user_name=_storable_text(document, f"{prefix}.user.name"),
        working_directory=_storable_text(document, f"{prefix}.working_directory"),
        sha256=_storable_text(document, f"{prefix}.hash.sha256"),
        title=_storable_text(document, f"{prefix}.title"),
        arguments_were_split=arguments_were_split,
    )


def _labels(document: Document) -> dict[str, str]:
    """Return `container.labels` as a flat dict. Keys keep their dots, as in `app.kubernetes.io/name`."""
    labels: dict[str, str] = {}
    for key, value in entries_under(document, "container.labels"):
        _flatten(key, value, labels)
    return labels


def _flatten(key: str, value: object, into: dict[str, str]) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _flatten(f"{key}.{name}", inner, into)
    elif isinstance(value, list):
        into[escape_unstorable(key)] = escape_unstorable(", ".join(str(item) for item in value))
    elif value is not None:
        into[escape_unstorable(key)] = escape_unstorable(str(value))
