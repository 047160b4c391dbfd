"""What the pages of rules show: their shape, filled by rules and rule, drawn by their templates."""

from dataclasses import dataclass
from datetime import datetime

from app.detection.rule import Rule
from app.detection.switches import is_enabled
from app.domain.principal import Principal, Role
from app.store.tables import RuleSwitch
from app.web.page_frame import Tab
from app.web.paths import RULES_PATH


@dataclass(frozen=True, slots=True)
class SwitchView:
    """Whether a rule decides, and who wanted that; `changed_by` is None where its file has its way.

    The form posts csrf, enabled (yes or no), `version` and next to `action`, which is None for
    whoever may not.
    """

    enabled: bool
    enabled_in_file: bool
    changed_by: str | None
    changed_at: datetime | None
    version: int
    action: str | None


@dataclass(frozen=True, slots=True)
class RuleRow:
    id: str
    href: str
    name: str
    severity: str
    risk_score: int
    tactics: tuple[str, ...]
    open_alerts: int
    open_alerts_href: str
    last_match_at: datetime | None
    exclusion_count: int
    switch: SwitchView


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One thing that kept a rule file from being loaded; `location` is file:line:column."""

    location: str
    message: str


@dataclass(frozen=True, slots=True)
class ProblemsView:
    """`rows` are the first of `total`; `expanded` when they are few enough to be seen at once."""

    files: int
    total: int
    rows: tuple[ProblemRow, ...]
    expanded: bool


@dataclass(frozen=True, slots=True)
class RulesPage:
    """Block `list`. `current_href` is this view's address, to come back to; `loaded_count` counts all rules."""

    loaded_count: int
    problems: ProblemsView
    tabs: tuple[Tab, ...]
    action: str
    q: str
    hidden_inputs: tuple[tuple[str, str], ...]
    clear_href: str
    rows: tuple[RuleRow, ...]
    current_href: str
    first_href: str | None
    next_href: str | None
    summary: str


@dataclass(frozen=True, slots=True)
class QueryToken:
    """`kind` is keyword, string, number, field, operator or plain."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class TestRow:
    """One of the rule's own test events, run just now."""

    name: str
    expected: str
    passed: bool


@dataclass(frozen=True, slots=True)
class ThreatRow:
    tactic: str
    tactic_href: str
    techniques: tuple[tuple[str, str], ...]  # (name with id, href)


@dataclass(frozen=True, slots=True)
class RuleExclusionRow:
    href: str
    reason: str
    owner: str
    ends_at: datetime
    suppressed_count: int


@dataclass(frozen=True, slots=True)
class GuidePartView:
    steps_html: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleActivity:
    """What a rule has led to up to now."""

    matches: int
    open_alerts: int
    closed_alerts: int
    true_positives: int
    alerts_href: str
    exclusions: tuple[RuleExclusionRow, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """`href` only where `text` is an address that a browser may be sent to."""

    text: str
    href: str | None


@dataclass(frozen=True, slots=True)
class RulePage:
    """`description_html` and `setup_html` are safe. Block `guide` shows one part."""

    id: str
    name: str
    severity: str
    risk_score: int
    switch: SwitchView
    description_html: str
    setup_html: str
    query_tokens: tuple[QueryToken, ...]
    threats: tuple[ThreatRow, ...]
    tests: tuple[TestRow, ...]
    false_positives: tuple[str, ...]
    tags: tuple[str, ...]
    references: tuple[Reference, ...]
    file_name: str
    explain_href: str
    activity: RuleActivity
    part: str
    guide_tabs: tuple[Tab, ...]
    guide_introduction_html: str
    guide: GuidePartView


@dataclass(frozen=True, slots=True)
class UnloadedRulePage:
    """A rule that is not loaded any more, as far as its alerts and exclusions still tell of it."""

    id: str
    name: str
    problem_files: int
    activity: RuleActivity


def switch_view(rule: Rule, switch: RuleSwitch | None, principal: Principal) -> SwitchView:
    return SwitchView(
        enabled=is_enabled(rule, switch.enabled if switch else None),
        enabled_in_file=rule.enabled,
        changed_by=switch.changed_by if switch else None,
        changed_at=switch.changed_at if switch else None,
        version=switch.version if switch else 0,
        action=f"{RULES_PATH}/{rule.id}/switch" if principal.has_role(Role.ADMIN) else None,
    )
