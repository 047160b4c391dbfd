"""What the agents page and the page of one agent are given."""

from dataclasses import dataclass
from datetime import datetime

from app.web.pages.connect import ConnectKind
from app.web.shell import Chip, ConnectStep, Tab


@dataclass(frozen=True, slots=True)
class KeyRow:
    """Counts are of the last 24 hours; `spark` are the points of the last hour's line, if it sent any."""

    id: int
    name: str
    href: str
    role: str
    hint: str  # the last four characters of the key
    last_seen: datetime | None
    silent: bool
    received: int
    matched: int
    rejected: int
    spark: str | None
    chips: tuple[Chip, ...]
    revoke_action: str | None


@dataclass(frozen=True, slots=True)
class Figure:
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: shown this once."""

    name: str
    key: str
    role: str


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """`pieces` are the beginning of the bytes: (text, whether it stands for bytes that are no text)."""

    id: int
    href: str
    received_at: datetime
    agent: str
    reason: str
    size: int
    pieces: tuple[tuple[str, bool], ...]
    raw_href: str


@dataclass(frozen=True, slots=True)
class AgentsPage:
    """Blocks `keys`, `connect` and `quarantine`. The new-key form posts csrf, name, role and connect to
    create_action; `connect_kinds` are all set-ups, when a key was just made.
    """

    figures: tuple[Figure, ...]
    keys: tuple[KeyRow, ...]
    any_keys: bool
    tabs: tuple[Tab, ...]
    q: str
    hidden: tuple[tuple[str, str], ...]
    action: str
    clear_href: str | None
    summary: str
    newer_href: str | None
    older_href: str | None
    refresh_href: str
    may_manage: bool
    create_action: str
    name: str
    name_problem: str | None
    roles: tuple[tuple[str, str], ...]  # (value, what it may do)
    role: str
    new_key: NewKey | None
    connect: str
    connect_tabs: tuple[Tab, ...]
    connect_steps: tuple[ConnectStep, ...]
    connect_kinds: tuple[ConnectKind, ...]
    quarantine: tuple[QuarantineRow, ...]
    quarantine_total: str
    quarantine_href: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """A row of the table that the chart is drawn from. The rates are a minute, the rest are sums."""

    at: datetime
    epoch: int
    events: str
    events_value: float
    bytes: str
    bytes_value: float
    matched: int
    duplicates: int
    rejected: int


@dataclass(frozen=True, slots=True)
class SilenceRow:
    start: datetime
    end: datetime | None
    length: str


@dataclass(frozen=True, slots=True)
class AgentPage:
    """Block `traffic` is the chart, its table and the sums of the chosen time."""

    id: int
    name: str
    role: str
    hint: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None
    revoke_action: str | None
    state: str
    tone: str
    said: str
    chips: tuple[Chip, ...]
    last_seen: datetime | None
    tabs: tuple[Tab, ...]
    over: str  # the chosen time in words
    figures: tuple[Figure, ...]
    steps: tuple[StepRow, ...]
    # All that came came within a minute that is not over, and steps are of those that are.
    not_drawn_yet: bool
    step_words: str
    as_of: datetime
    clock: str
    samples: int
    hosts: tuple[str, ...]
    more_hosts: int
    silences: tuple[SilenceRow, ...]
    more_silences: int
    silent_after: str
    kept: str
    quarantine_href: str
