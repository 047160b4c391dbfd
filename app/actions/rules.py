"""Switching rules on and off, one transaction each; whoever decides reads that again afterwards."""

from collections.abc import Iterable
from datetime import datetime

from app.detection.rule import Rule, is_enabled
from app.domain.errors import Conflict, Forbidden, NotFound
from app.domain.principal import Principal, Role
from app.store import audit, rule_overrides
from app.store.database import Database
from app.store.tables import RuleSwitch


def get_rule(rules: Iterable[Rule], rule_id: str) -> Rule:
    """The loaded rule with this id; raises NotFound."""
    rule = next((rule for rule in rules if rule.id == rule_id), None)
    if rule is None:
        raise NotFound("There is no rule with this id, or it is not loaded.")
    return rule


def set_rule_enabled(
    database: Database,
    rule: Rule,
    *,
    enabled: bool,
    version: int | None,
    principal: Principal,
    at: datetime,
) -> bool:
    """Whether it changed anything: a rule that is so already stays as it is, without an audit entry.

    `version` is that of the switch which `who` saw, 0 for none; None stands for whichever. Raises
    Forbidden, or Conflict when somebody else has switched the rule since then.
    """
    if not principal.has_role(Role.ADMIN):
        raise Forbidden("Only an admin can enable or disable a rule.")
    with database.write() as session:
        last = rule_overrides.get(session, rule.id)
        if enabled is is_enabled(rule, last.enabled if last else None):
            return False
        if version is not None and version != (last.version if last else 0):
            raise Conflict(_conflict_message(last))
        rule_overrides.set_enabled(session, rule.id, enabled=enabled, at=at, actor=principal.name)
        audit.record(
            session,
            at=at,
            actor=principal.name,
            action="rule.enabled" if enabled else "rule.disabled",
            subject=f"rule {rule.id}",
            detail=f"{rule.name} ({rule.path.name})",
            address=principal.address,
        )
        return True


def _conflict_message(last: RuleSwitch | None) -> str:
    if last is None:
        return "The rule is not as you saw it. Nothing was changed."
    done = "enabled" if last.enabled else "disabled"
    return f"{last.changed_by} {done} the rule while you were looking. Nothing was changed."
