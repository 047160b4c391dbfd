"""Instructions to connect agents, with the URL of this deployment and a new API key filled in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.web import urls
from app.web.components import ConnectStep, Tab
from app.web.pages.agents.connect import elastic, events, runtime
from app.web.pages.agents.connect.target import ConnectTarget

KEY_PLACEHOLDER = "YOUR-KEY"
DEFAULT_KIND = "curl"

# For each kind of agent: the label of its tab, and the function that builds its steps.
AGENT_KINDS: Mapping[str, tuple[str, Callable[[ConnectTarget], tuple[ConnectStep, ...]]]] = {
    "elastic": ("Elastic Agent", elastic.elastic_agent),
    "filebeat": ("Filebeat", elastic.filebeat),
    "falco": ("Falco", runtime.falco),
    "falcosidekick": ("Falcosidekick", runtime.falcosidekick),
    "tetragon": ("Tetragon", runtime.tetragon),
    "tracee": ("Tracee", runtime.tracee),
    "rsyslog": ("rsyslog", events.rsyslog),
    "syslog-ng": ("syslog-ng", events.syslog_ng),
    "curl": ("curl", events.curl),
}


@dataclass(frozen=True, slots=True)
class ConnectInstructions:
    """The steps for one kind of agent; `expanded` is true if the user selected this kind."""

    name: str
    label: str
    expanded: bool
    steps: tuple[ConnectStep, ...]


def parse_agent_kind(text: str) -> str:
    return text if text in AGENT_KINDS else DEFAULT_KIND


def connect_tabs(path: str, selected_kind: str) -> tuple[Tab, ...]:
    return tuple(
        Tab(
            label,
            urls.href(path, connect=kind) + "#connect",
            kind == parse_agent_kind(selected_kind),
        )
        for kind, (label, _) in AGENT_KINDS.items()
    )


def connect_steps(kind: str, base_url: str, key: str | None) -> tuple[ConnectStep, ...]:
    """Return the steps for `kind`, with a placeholder instead of the key if `key` is None."""
    return AGENT_KINDS[parse_agent_kind(kind)][1](ConnectTarget(base_url, key or KEY_PLACEHOLDER))


def connect_instructions(
    selected_kind: str, base_url: str, key: str
) -> tuple[ConnectInstructions, ...]:
    """Return the steps for all kinds of agent, with `key` filled in.

    The page with a new key contains the steps for all kinds, because the key is shown only once.
    """
    return tuple(
        ConnectInstructions(
            kind,
            label,
            kind == parse_agent_kind(selected_kind),
            steps(ConnectTarget(base_url, key)),
        )
        for kind, (label, steps) in AGENT_KINDS.items()
    )
