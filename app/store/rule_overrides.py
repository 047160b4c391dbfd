"""Rules that users have enabled or disabled. This setting overrides the default in the rule file."""

from datetime import datetime

from sqlmodel import Session, select

from app.store import change_counters
from app.store.tables import RuleSwitch


def get(session: Session, rule_id: str) -> RuleSwitch | None:
    """Return the stored switch of the rule, or None if no user has enabled or disabled the rule."""
    return session.get(RuleSwitch, rule_id)


def list_all(session: Session) -> dict[str, RuleSwitch]:
    """Return the stored switches of all rules that users have enabled or disabled, by rule id."""
    return {switch.rule_id: switch for switch in session.exec(select(RuleSwitch))}


def rule_overrides(session: Session) -> dict[str, bool]:
    """Return the rules that users have enabled (True) or disabled (False), by rule id."""
    return {rule_id: switch.enabled for rule_id, switch in list_all(session).items()}


def set_enabled(
    session: Session, rule_id: str, *, enabled: bool, at: datetime, actor: str
) -> RuleSwitch:
    """Enable or disable a rule, and make every process rebuild its detector after the commit."""
    switch = session.get(RuleSwitch, rule_id)
    if switch is None:
        switch = RuleSwitch(
            rule_id=rule_id, enabled=enabled, version=1, changed_at=at, changed_by=actor
        )
    else:
        switch.enabled = enabled
        switch.version += 1
        switch.changed_at = at
        switch.changed_by = actor
    session.add(switch)
    change_counters.bump(session, change_counters.RULES)
    session.flush()
    return switch
