"""Selection of rules and exclusions for `replay` and `explain`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from app.bootstrap import load_configured_rules, open_existing_database
from app.detection.rule import LoadedRules, Rule, enabled_rules
from app.domain.errors import NotFound
from app.domain.exclusion import Exclusion
from app.domain.text import escape_invisible
from app.settings import Settings
from app.store import exclusions, rule_overrides


@dataclass(frozen=True, slots=True)
class RuleSelection:
    """The rules and exclusions that a command applies.

    `rules` are the rules to evaluate. `enabled_rules` are the enabled rules; a server with the same settings
    evaluates these rules. `exclusions_by_rule` maps the id of a rule to the approved exclusions of the rule.
    Exclusions that a user has ended are left out. `note` is None if the database exists. Otherwise `note`
    says that no exclusions were applied. `problem_count` is the number of problems in rule files.
    """

    rules: tuple[Rule, ...]
    enabled_rules: tuple[Rule, ...]
    exclusions_by_rule: Mapping[str, Sequence[Exclusion]]
    note: str | None
    problem_count: int


def select_rules(settings: Settings, *, rules: Sequence[str], all_rules: bool) -> RuleSelection:
    """Return the rules to evaluate and the exclusions of all rules.

    Only approved exclusions are returned. Exclusions that a user has ended are left out.

    The parameters select one of three sets of rules:

    - all rules, if `all_rules` is true,
    - the rules named in `rules`, if `rules` is not empty,
    - the enabled rules, if neither parameter is given.

    A name is the id of a rule, or the name of a rule file without its extension.
    Raises NotFound if a name matches no rule, and FatalError if the database cannot be used.
    """
    loaded = load_configured_rules(settings.rules)
    selected = loaded.rules if all_rules else tuple(_find_rule(loaded, name) for name in rules)
    database = open_existing_database(settings)
    if database is None:
        enabled = enabled_rules(loaded.rules, {})
        note = f"The database {settings.sqlite_file} does not exist: no exclusions were applied."
        return RuleSelection(selected or enabled, enabled, {}, note, len(loaded.problems))
    try:
        with database.read() as session:
            overrides = rule_overrides.rule_overrides(session)
            live = exclusions.by_rule(exclusions.list_live(session))
    finally:
        database.close()
    enabled = enabled_rules(loaded.rules, overrides)
    return RuleSelection(selected or enabled, enabled, live, None, len(loaded.problems))


def _find_rule(loaded: LoadedRules, name: str) -> Rule:
    rule = next((rule for rule in loaded.rules if name in (rule.id, rule.slug)), None)
    if rule is not None:
        return rule
    names = [text for rule in loaded.rules for text in (rule.id, rule.slug)]
    similar = get_close_matches(name, names, n=1)
    hint = f"Did you mean {similar[0]}?" if similar else "List the rules with: deckwatch rules list"
    raise NotFound(f"Unknown rule “{escape_invisible(name)}”. {hint}")
