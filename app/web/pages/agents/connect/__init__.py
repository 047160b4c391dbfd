"""How to connect an agent: steps to copy, with this deployment's address and, just after, a new key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.web import urls
from app.web.components import ConnectStep, Tab
from app.web.pages.agents.connect import elastic, events, runtime
from app.web.pages.agents.connect.target import ConnectTarget

KEY_PLACEHOLDER = "YOUR-KEY"
DEFAULT_KIND = "curl"

# Every kind of agent: what its tab says, and its steps.
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
    """One kind of agent with all its steps; `expanded` is the one that was asked for."""

    name: str
    label: str
    expanded: bool
    steps: tuple[ConnectStep, ...]


def parse_agent_kind(asked: str) -> str:
    return asked if asked in AGENT_KINDS else DEFAULT_KIND


def connect_tabs(path: str, chosen: str) -> tuple[Tab, ...]:
    return tuple(
        Tab(label, urls.href(path, connect=kind) + "#connect", kind == parse_agent_kind(chosen))
        for kind, (label, _) in AGENT_KINDS.items()
    )


def connect_steps(kind: str, base_url: str, key: str | None) -> tuple[ConnectStep, ...]:
    """Steps for `kind`; without a fresh key they hold a placeholder."""
    return AGENT_KINDS[parse_agent_kind(kind)][1](ConnectTarget(base_url, key or KEY_PLACEHOLDER))


def connect_instructions(chosen: str, base_url: str, key: str) -> tuple[ConnectInstructions, ...]:
    """All kinds at once: a fresh key is on one page only, so that page must have every set-up."""
    return tuple(
        ConnectInstructions(
            kind, label, kind == parse_agent_kind(chosen), steps(ConnectTarget(base_url, key))
        )
        for kind, (label, steps) in AGENT_KINDS.items()
    )
