"""Which rules a command asks, with which exclusions: those of a server here, or the ones it names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from app.bootstrap import load_configured_rules, open_existing_database
from app.detection.rule import LoadedRules, Rule
from app.detection.switches import enabled_rules
from app.domain.errors import NotFound
from app.domain.exclusion import Exclusion
from app.domain.text import escape_invisible
from app.settings import Settings
from app.store import exclusions, rule_overrides


@dataclass(frozen=True, slots=True)
class RuleSelection:
    """`rules` are asked; `enabled_rules` are those that a server would decide with; `exclusions_by_rule` are by rule id.

    `note` says why the database had no say, if it had none; `problem_count` counts those of rule files.
    """

    rules: tuple[Rule, ...]
    enabled_rules: tuple[Rule, ...]
    exclusions_by_rule: Mapping[str, Sequence[Exclusion]]
    note: str | None
    problem_count: int


def select_rules(settings: Settings, *, rules: Sequence[str], all_rules: bool) -> RuleSelection:
    """What a server would decide with, or else the `rules` with these ids or file names, or all.

    Raises NotFound for a rule that is not loaded, FatalError for a database that cannot be used.
    """
    loaded = load_configured_rules(settings.rules)
    chosen = loaded.rules if all_rules else tuple(_find_rule(loaded, name) for name in rules)
    database = open_existing_database(settings)
    if database is None:
        enabled = enabled_rules(loaded.rules, {})
        note = f"There is no database {settings.sqlite_file}, so no exclusions."
        return RuleSelection(chosen or enabled, enabled, {}, note, len(loaded.problems))
    try:
        with database.read() as session:
            overrides = rule_overrides.rule_overrides(session)
            live = exclusions.by_rule(exclusions.list_live(session))
    finally:
        database.close()
    enabled = enabled_rules(loaded.rules, overrides)
    return RuleSelection(chosen or enabled, enabled, live, None, len(loaded.problems))


def _find_rule(loaded: LoadedRules, name: str) -> Rule:
    found = next((rule for rule in loaded.rules if name in (rule.id, rule.slug)), None)
    if found is not None:
        return found
    known = [text for rule in loaded.rules for text in (rule.id, rule.slug)]
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "deckwatch rules list shows those there are."
    raise NotFound(f"No rule “{escape_invisible(name)}” is loaded; {hint}")
