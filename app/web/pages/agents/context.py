"""Template contexts of the agents page and the page of one agent."""

from dataclasses import dataclass
from datetime import datetime

from app.store.traffic import TrafficCounts
from app.web.components import Chip, ConnectStep, Tab
from app.web.key_states import KeyState
from app.web.pages.agents.connect import ConnectInstructions
from app.web.quarantine_rows import QuarantineRow


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key in the list.

    `counts` cover the last 24 hours. `sparkline_points` cover the last hour, and are None if no event was
    received in that hour.
    """

    state: KeyState
    counts: TrafficCounts
    sparkline_points: str | None
    chips: tuple[Chip, ...]
    revoke_action: str | None


@dataclass(frozen=True, slots=True)
class Stat:
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just created, with its plain text, which is shown only once."""

    name: str
    key: str
    role: str


@dataclass(frozen=True, slots=True)
class AgentsPage:
    """Context of agents.html; its blocks are `keys`, `connect` and `quarantine`.

    The form for a new key posts `csrf`, `name`, `role` and `connect` to `create_action`. After a key for an
    agent was created, `connect_instructions` holds the steps for all kinds of agent; otherwise, it is empty.
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
    role_options: tuple[tuple[str, str], ...]  # (role, description)
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
    """A row of the chart's table: rates per minute, and sums of matches, duplicates and rejected events."""

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
    """Context of agent.html; its block `traffic` contains the chart, the table of the chart and the sums."""

    state: KeyState
    state_summary: str
    chips: tuple[Chip, ...]
    created_by: str
    revoked_by: str
    revoke_action: str | None
    tabs: tuple[Tab, ...]
    range_description: str
    stats: tuple[Stat, ...]
    chart_rows: tuple[ChartRow, ...]
    # True if all events arrived in the current minute. In this case, the chart shows no events yet, because
    # the chart contains only complete minutes.
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
