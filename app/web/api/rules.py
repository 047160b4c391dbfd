"""API for rules: list, enable and disable them."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.actions.rules import get_rule, set_rule_enabled
from app.detection.rule import Rule, is_enabled
from app.domain.severity import Severity
from app.resources import rule_file_label
from app.store import rule_overrides
from app.store.tables import RuleSwitch
from app.web.access import Admin, Analyst
from app.web.api.openapi import AUTH_STATUSES, JSON_BODY_STATUSES, problem_responses
from app.web.api.parameters import NO_REPEATED_PARAMETERS
from app.web.services import ServicesDep

router = APIRouter(tags=["rules"], responses=problem_responses(*AUTH_STATUSES))
PATH = "/api/v1/rules"


class RuleOut(BaseModel):
    """A loaded rule. `enabled` equals `enabled_in_file` until a user enables or disables the rule."""

    id: str
    slug: str = Field(description="Name of the rule's file without the extension.")
    name: str
    severity: Severity
    risk_score: int
    enabled: bool = Field(description="Whether the rule is evaluated.")
    enabled_in_file: bool
    file: str
    version: int = Field(
        description="Incremented when a user enables or disables the rule; initially 0."
    )
    changed_by: str | None
    changed_at: datetime | None


class RulesOut(BaseModel):
    rules: list[RuleOut]


class RuleChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(strict=True)
    version: int | None = Field(
        default=None,
        description="Version that the change is based on. If it is not the current version, the response "
        "is 409.",
    )


def _rule_out(rule: Rule, switch: RuleSwitch | None) -> RuleOut:
    return RuleOut(
        id=rule.id,
        slug=rule.slug,
        name=rule.name,
        severity=rule.severity,
        risk_score=rule.risk_score,
        enabled=is_enabled(rule, switch.enabled if switch else None),
        enabled_in_file=rule.enabled,
        file=rule_file_label(rule.path),
        version=switch.version if switch else 0,
        changed_by=switch.changed_by if switch else None,
        changed_at=switch.changed_at if switch else None,
    )


@router.get(
    PATH,
    summary="List rules",
    responses=problem_responses(422),
    dependencies=[NO_REPEATED_PARAMETERS],
)
def list_rules(principal: Analyst, services: ServicesDep, enabled: bool | None = None) -> RulesOut:
    """Return the loaded rules, in the order in which their files were loaded."""
    with services.database.read() as session:
        overrides = rule_overrides.list_all(session)
    rules = [_rule_out(rule, overrides.get(rule.id)) for rule in services.rules.rules]
    return RulesOut(rules=[rule for rule in rules if enabled is None or rule.enabled is enabled])


@router.patch(
    PATH + "/{rule_id}",
    summary="Enable or disable a rule",
    responses=problem_responses(*JSON_BODY_STATUSES, 404, 409),
)
def change_rule(
    rule_id: str, change: RuleChange, principal: Admin, services: ServicesDep
) -> RuleOut:
    """Enable or disable a rule. Existing alerts do not change.

    The change takes effect before the response is sent. Other worker processes apply it within a second.
    """
    rule = get_rule(services.rules.rules, rule_id)
    set_rule_enabled(
        services.database,
        rule,
        enabled=change.enabled,
        version=change.version,
        principal=principal,
        at=services.clock(),
    )
    with services.database.read() as session:
        return _rule_out(rule, rule_overrides.get(session, rule.id))
