"""What the agents page and the page of one agent are given."""

from dataclasses import dataclass
from datetime import datetime

from app.web.components import Chip, ConnectStep, Tab
from app.web.pages.agents.connect import ConnectInstructions


@dataclass(frozen=True, slots=True)
class KeyRow:
    """Counts are of the last 24 hours; `sparkline_points` are the points of the last hour's line, if it sent any."""

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
    sparkline_points: str | None
    chips: tuple[Chip, ...]
    revoke_action: str | None


@dataclass(frozen=True, slots=True)
class Stat:
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
    """`text_segments` are the beginning of the bytes: (text, whether it stands for bytes that are no text)."""

    id: int
    href: str
    received_at: datetime
    agent: str
    reason: str
    size: int
    text_segments: tuple[tuple[str, bool], ...]
    raw_href: str


@dataclass(frozen=True, slots=True)
class AgentsPage:
    """Blocks `keys`, `connect_kind` and `quarantine`. The new-key form posts csrf, name, role and connect to
    create_action; `connect_instructions` are all set-ups, when a key was just made.
    """

    stats: tuple[Stat, ...]
    keys: tuple[KeyRow, ...]
    has_keys: bool
    tabs: tuple[Tab, ...]
    q: str
    hidden_inputs: tuple[tuple[str, str], ...]
    action: str
    clear_href: str | None
    summary: str
    newer_href: str | None
    older_href: str | None
    refresh_href: str
    can_manage: bool
    create_action: str
    name: str
    name_error: str | None
    role_options: tuple[tuple[str, str], ...]  # (value, what it may do)
    selected_role: str
    new_key: NewKey | None
    connect_kind: str
    connect_tabs: tuple[Tab, ...]
    connect_steps: tuple[ConnectStep, ...]
    connect_instructions: tuple[ConnectInstructions, ...]
    quarantine: tuple[QuarantineRow, ...]
    quarantine_total: str
    quarantine_href: str


@dataclass(frozen=True, slots=True)
class ChartRow:
    """A row of the table that the chart is drawn from. The rates are a minute, the rest are sums."""

    at: datetime
    epoch: int
    event_rate: str
    event_rate_value: float
    byte_rate: str
    byte_rate_value: float
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
    state_summary: str
    chips: tuple[Chip, ...]
    last_seen: datetime | None
    tabs: tuple[Tab, ...]
    range_description: str  # the chosen time in words
    stats: tuple[Stat, ...]
    chart_rows: tuple[ChartRow, ...]
    # All that came came within a minute that is not over, and steps are of those that are.
    only_current_minute: bool
    step_duration: str
    as_of: datetime
    clock_status: str
    sample_count: int
    hosts: tuple[str, ...]
    more_hosts: int
    silences: tuple[SilenceRow, ...]
    more_silences: int
    silence_threshold: str
    quarantined_count: str
    quarantine_href: str
