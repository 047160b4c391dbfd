"""Template contexts of the rule list, the rule page and the page of a rule that is not loaded."""

from dataclasses import dataclass

from app.detection.rule import Rule, is_enabled
from app.domain.principal import Principal, Role
from app.store.alerts import RuleStatistics
from app.store.tables import ExclusionVersion, RuleSwitch
from app.web.components import Tab


@dataclass(frozen=True, slots=True)
class SwitchView:
    """State of a rule's switch; `override` is None if no user has enabled or disabled the rule."""

    enabled: bool
    override: RuleSwitch | None
    can_change: bool


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One line of the rule list."""

    rule: Rule
    switch: SwitchView
    statistics: RuleStatistics
    exclusion_count: int


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A problem of a rule file; `location` is file:line:column."""

    location: str
    message: str


@dataclass(frozen=True, slots=True)
class ProblemsView:
    """The problems of rule files; `total` is the number of problems, and `rows` holds the first problems."""

    files: int
    total: int
    rows: tuple[ProblemRow, ...]
    expanded: bool


@dataclass(frozen=True, slots=True)
class RulesPage:
    """Context of rules.html; its block is `list`.

    `loaded_count` counts all loaded rules and `current_href` is the URL of the current view.
    """

    loaded_count: int
    problems: ProblemsView
    tabs: tuple[Tab, ...]
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
    """A token of a query; `kind` is "keyword", "string", "number", "field", "operator" or "plain"."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class TestRow:
    """The result of one of the rule's test events."""

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
    version: ExclusionVersion
    suppressed_count: int


@dataclass(frozen=True, slots=True)
class RuleActivity:
    """Statistics and live exclusions of a rule."""

    statistics: RuleStatistics
    alerts_href: str
    exclusions: tuple[RuleExclusionRow, ...]


@dataclass(frozen=True, slots=True)
class RulePage:
    """Context of rule.html; its block `guide` shows one part of the guide. All HTML fields are sanitised."""

    rule: Rule
    switch: SwitchView
    description_html: str
    setup_html: str
    query_tokens: tuple[QueryToken, ...]
    threats: tuple[ThreatRow, ...]
    tests: tuple[TestRow, ...]
    activity: RuleActivity
    guide_tabs: tuple[Tab, ...]
    guide_introduction_html: str
    guide_steps_html: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnloadedRulePage:
    """Context of rule_gone.html. `name` comes from the newest alert of the rule.

    If the rule has no alert, `name` is the id of the rule.
    """

    id: str
    name: str
    problem_files: int
    activity: RuleActivity


def switch_view(rule: Rule, override: RuleSwitch | None, principal: Principal) -> SwitchView:
    return SwitchView(
        enabled=is_enabled(rule, override.enabled if override else None),
        override=override,
        can_change=principal.has_role(Role.ADMIN),
    )
