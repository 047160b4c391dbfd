"""Enable and disable rules."""

from collections.abc import Iterable
from datetime import datetime

from app.detection.rule import Rule, is_enabled
from app.domain.errors import Conflict, Forbidden, NotFound
from app.domain.principal import Principal, Role
from app.store import audit, rule_overrides
from app.store.database import Database
from app.store.tables import RuleSwitch


def get_rule(rules: Iterable[Rule], rule_id: str) -> Rule:
    """Return the loaded rule with the id `rule_id`; raises NotFound if there is none."""
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
    """Enable or disable a rule. Return False and change nothing if the rule already has this state.

    `version` is the version of the RuleSwitch that the user saw. It is 0 if the user saw a rule without a
    RuleSwitch. If `version` is None, versions are not compared.

    Raises Forbidden if the principal is not an admin. Raises Conflict if the current version of the
    RuleSwitch differs from `version`.
    """
    if not principal.has_role(Role.ADMIN):
        raise Forbidden("Only an admin can enable or disable a rule.")
    with database.write() as session:
        switch = rule_overrides.get(session, rule.id)
        if enabled is is_enabled(rule, switch.enabled if switch else None):
            return False
        if version is not None and version != (switch.version if switch else 0):
            raise Conflict(_conflict_message(switch))
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


def _conflict_message(switch: RuleSwitch | None) -> str:
    if switch is None:
        return "The rule changed while you were viewing it. Nothing was changed."
    verb = "enabled" if switch.enabled else "disabled"
    return f"{switch.changed_by} {verb} the rule while you were viewing it. Nothing was changed."
