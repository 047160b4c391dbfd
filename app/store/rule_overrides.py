"""Which rules people have switched on or off; what their files say is not known here."""

from datetime import datetime

from sqlmodel import Session, select

from app.store import change_counters
from app.store.tables import RuleSwitch


def get(session: Session, rule_id: str) -> RuleSwitch | None:
    """None for a rule that nobody has switched yet."""
    return session.get(RuleSwitch, rule_id)


def list_all(session: Session) -> dict[str, RuleSwitch]:
    """All of them, by the rule's id."""
    return {switch.rule_id: switch for switch in session.exec(select(RuleSwitch))}


def rule_overrides(session: Session) -> dict[str, bool]:
    """What people want, by the rule's id: whether it decides."""
    return {rule_id: switch.enabled for rule_id, switch in list_all(session).items()}


def set_enabled(
    session: Session, rule_id: str, *, enabled: bool, at: datetime, actor: str
) -> RuleSwitch:
    """Switch a rule, and say in the same transaction that whoever decides has to read again."""
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
