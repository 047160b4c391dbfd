"""How to connect an agent: steps to copy, with this deployment's address and, just after, a new key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.web import urls
from app.web.pages import connect_elastic, connect_events, connect_runtime
from app.web.pages.connect_target import Target
from app.web.shell import ConnectStep, Tab

PLACEHOLDER = "YOUR-KEY"
DEFAULT = "curl"

# Every kind of agent: what its tab says, and its steps.
KINDS: Mapping[str, tuple[str, Callable[[Target], tuple[ConnectStep, ...]]]] = {
    "elastic": ("Elastic Agent", connect_elastic.elastic_agent),
    "filebeat": ("Filebeat", connect_elastic.filebeat),
    "falco": ("Falco", connect_runtime.falco),
    "falcosidekick": ("Falcosidekick", connect_runtime.falcosidekick),
    "tetragon": ("Tetragon", connect_runtime.tetragon),
    "tracee": ("Tracee", connect_runtime.tracee),
    "rsyslog": ("rsyslog", connect_events.rsyslog),
    "syslog-ng": ("syslog-ng", connect_events.syslog_ng),
    "curl": ("curl", connect_events.curl),
}


@dataclass(frozen=True, slots=True)
class ConnectKind:
    """One kind of agent with all its steps; `open` is the one that was asked for."""

    name: str
    label: str
    open: bool
    steps: tuple[ConnectStep, ...]


def kind_of(asked: str) -> str:
    return asked if asked in KINDS else DEFAULT


def connect_tabs(path: str, chosen: str) -> tuple[Tab, ...]:
    return tuple(
        Tab(label, urls.href(path, connect=kind) + "#connect", kind == kind_of(chosen))
        for kind, (label, _) in KINDS.items()
    )


def connect_steps(kind: str, base_url: str, key: str | None) -> tuple[ConnectStep, ...]:
    """Steps for `kind`; without a fresh key they hold a placeholder."""
    return KINDS[kind_of(kind)][1](Target(base_url, key or PLACEHOLDER))


def connect_kinds(chosen: str, base_url: str, key: str) -> tuple[ConnectKind, ...]:
    """All kinds at once: a fresh key is on one page only, so that page must have every set-up."""
    return tuple(
        ConnectKind(kind, label, kind == kind_of(chosen), steps(Target(base_url, key)))
        for kind, (label, steps) in KINDS.items()
    )
