"""Which rules decide: those their files enable, unless people have switched them otherwise."""

from collections.abc import Iterable, Mapping

from app.detection.rule import Rule


def is_enabled(rule: Rule, override: bool | None) -> bool:
    """`override` is people's; None for a rule that nobody has switched, which goes by its file."""
    return rule.enabled if override is None else override


def enabled_rules(rules: Iterable[Rule], overrides: Mapping[str, bool]) -> tuple[Rule, ...]:
    """Those of `rules` that decide, in the same order; `overrides` are people's, by the rule's id."""
    return tuple(rule for rule in rules if is_enabled(rule, overrides.get(rule.id)))
