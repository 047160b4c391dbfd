"""Rules for programs: listed, enabled, disabled."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.actions.rules import get_rule
from app.detection.rule import Rule
from app.detection.switches import is_enabled
from app.domain.severity import Severity
from app.resources import rule_file_label
from app.store import rule_overrides
from app.store.tables import RuleSwitch
from app.web.access import Admin, Analyst
from app.web.api.openapi import AUTH_STATUSES, JSON_BODY_STATUSES, problem_responses
from app.web.api.parameters import NO_REPEATED_PARAMETERS
from app.web.rule_switch import set_rule_enabled
from app.web.services import ServicesDep

router = APIRouter(tags=["rules"], responses=problem_responses(*AUTH_STATUSES))
PATH = "/api/v1/rules"


class RuleOut(BaseModel):
    """A rule that is loaded. Until somebody switches it, it goes by its file."""

    id: str
    slug: str = Field(description="The name of its file, without the ending.")
    name: str
    severity: Severity
    risk_score: int
    enabled: bool = Field(description="Whether it decides.")
    enabled_in_file: bool
    file: str
    version: int = Field(description="Grows when somebody switches it; 0 before that.")
    changed_by: str | None
    changed_at: datetime | None


class RulesOut(BaseModel):
    rules: list[RuleOut]


class RuleChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(strict=True)
    version: int | None = Field(default=None, description="The version you saw; 409 if it is old.")


def _out(rule: Rule, switch: RuleSwitch | None) -> RuleOut:
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
    """All that are loaded, in the order of their files."""
    with services.database.read() as session:
        switched = rule_overrides.list_all(session)
    rules = [_out(rule, switched.get(rule.id)) for rule in services.rules.rules]
    return RulesOut(rules=[rule for rule in rules if enabled is None or rule.enabled is enabled])


@router.patch(
    PATH + "/{rule_id}",
    summary="Enable or disable a rule",
    responses=problem_responses(*JSON_BODY_STATUSES, 404, 409),
)
def change_rule(
    rule_id: str, change: RuleChange, principal: Admin, services: ServicesDep
) -> RuleOut:
    """From the answer on; other worker processes follow within a second. Alerts that exist stay."""
    rule = get_rule(services.rules.rules, rule_id)
    set_rule_enabled(
        services, rule, enabled=change.enabled, version=change.version, principal=principal
    )
    with services.database.read() as session:
        return _out(rule, rule_overrides.get(session, rule.id))
