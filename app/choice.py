"""Which rules a command asks, with which exclusions: those of a server here, or the ones it names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from app.detection.rule import LoadResult, Rule
from app.detection.switches import deciding
from app.domain.errors import NotFound
from app.domain.exclusion import Exclusion
from app.domain.text import visible
from app.main import rules_of
from app.settings import Settings
from app.setup import existing
from app.store import exclusions, switches


@dataclass(frozen=True, slots=True)
class Choice:
    """`rules` are asked; `enabled` are those that a server would decide with; `exclusions` are by rule.

    `note` says why the database had no say, if it had none; `problems` counts those of rule files.
    """

    rules: tuple[Rule, ...]
    enabled: tuple[Rule, ...]
    exclusions: Mapping[str, Sequence[Exclusion]]
    note: str | None
    problems: int


def choose(settings: Settings, *, rules: Sequence[str], all_rules: bool) -> Choice:
    """What a server would decide with, or else the `rules` with these ids or file names, or all.

    Raises NotFound for a rule that is not loaded, Unusable for a database that cannot be used.
    """
    loaded = rules_of(settings.rules)
    chosen = loaded.rules if all_rules else tuple(_named(loaded, name) for name in rules)
    database = existing(settings)
    if database is None:
        enabled = deciding(loaded.rules, {})
        note = f"There is no database {settings.sqlite_file}, so no exclusions."
        return Choice(chosen or enabled, enabled, {}, note, len(loaded.problems))
    try:
        with database.read() as session:
            wishes = switches.wishes(session)
            live = exclusions.by_rule(exclusions.live(session))
    finally:
        database.close()
    enabled = deciding(loaded.rules, wishes)
    return Choice(chosen or enabled, enabled, live, None, len(loaded.problems))


def _named(loaded: LoadResult, name: str) -> Rule:
    found = next((rule for rule in loaded.rules if name in (rule.id, rule.slug)), None)
    if found is not None:
        return found
    known = [text for rule in loaded.rules for text in (rule.id, rule.slug)]
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "deckwatch rules list shows those there are."
    raise NotFound(f"No rule “{visible(name)}” is loaded; {hint}")
