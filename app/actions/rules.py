"""Switching rules on and off, one transaction each; whoever decides reads that again afterwards."""

from collections.abc import Iterable
from datetime import datetime

from app.detection.rule import Rule
from app.detection.switches import is_enabled
from app.domain.errors import Conflict, Forbidden, NotFound
from app.domain.roles import Principal, Role
from app.store import audit, switches
from app.store.database import Database
from app.store.tables import RuleSwitch


def named(rules: Iterable[Rule], rule_id: str) -> Rule:
    """The loaded rule with this id; raises NotFound."""
    rule = next((rule for rule in rules if rule.id == rule_id), None)
    if rule is None:
        raise NotFound("There is no rule with this id, or it is not loaded.")
    return rule


def switch(
    database: Database,
    rule: Rule,
    *,
    enabled: bool,
    version: int | None,
    who: Principal,
    at: datetime,
) -> bool:
    """Whether it changed anything: a rule that is so already stays as it is, without an audit entry.

    `version` is that of the switch which `who` saw, 0 for none; None stands for whichever. Raises
    Forbidden, or Conflict when somebody else has switched the rule since then.
    """
    if not who.may(Role.ADMIN):
        raise Forbidden("Only an admin can enable or disable a rule.")
    with database.write() as session:
        last = switches.get(session, rule.id)
        if enabled is is_enabled(rule, last.enabled if last else None):
            return False
        if version is not None and version != (last.version if last else 0):
            raise Conflict(_overtaken(last))
        switches.put(session, rule.id, enabled=enabled, at=at, actor=who.name)
        audit.record(
            session,
            at=at,
            actor=who.name,
            action="rule.enabled" if enabled else "rule.disabled",
            subject=f"rule {rule.id}",
            detail=f"{rule.name} ({rule.path.name})",
            address=who.address,
        )
        return True


def _overtaken(last: RuleSwitch | None) -> str:
    if last is None:
        return "The rule is not as you saw it. Nothing was changed."
    done = "enabled" if last.enabled else "disabled"
    return f"{last.changed_by} {done} the rule while you were looking. Nothing was changed."
