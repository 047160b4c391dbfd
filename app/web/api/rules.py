"""Rules for programs: listed, enabled, disabled."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.actions.rules import named
from app.detection.rule import Rule
from app.detection.switches import is_enabled
from app.domain.severity import Severity
from app.store import switches
from app.store.tables import RuleSwitch
from app.web.access import Admin, Analyst
from app.web.api.openapi import JSON_BODY, KEYED, problems
from app.web.api.query import EACH_ONCE
from app.web.pages.rules_context import file_of
from app.web.services import Parts
from app.web.switching import switch_rule

router = APIRouter(tags=["rules"], responses=problems(*KEYED))
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
        file=file_of(rule.path),
        version=switch.version if switch else 0,
        changed_by=switch.changed_by if switch else None,
        changed_at=switch.changed_at if switch else None,
    )


@router.get(PATH, summary="List rules", responses=problems(422), dependencies=[EACH_ONCE])
def list_rules(who: Analyst, services: Parts, enabled: bool | None = None) -> RulesOut:
    """All that are loaded, in the order of their files."""
    with services.database.read() as session:
        switched = switches.everything(session)
    told = [_out(rule, switched.get(rule.id)) for rule in services.rules.rules]
    return RulesOut(rules=[one for one in told if enabled is None or one.enabled is enabled])


@router.patch(
    PATH + "/{rule_id}",
    summary="Enable or disable a rule",
    responses=problems(*JSON_BODY, 404, 409),
)
def change_rule(rule_id: str, change: RuleChange, who: Admin, services: Parts) -> RuleOut:
    """From the answer on; other worker processes follow within a second. Alerts that exist stay."""
    rule = named(services.rules.rules, rule_id)
    switch_rule(services, rule, enabled=change.enabled, version=change.version, who=who)
    with services.database.read() as session:
        return _out(rule, switches.get(session, rule.id))
