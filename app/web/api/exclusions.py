"""Exclusions for programs: listed, read, proposed, edited, approved, ended."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.actions import exclusion_draft
from app.actions import exclusions as actions
from app.actions.exclusion_draft import ExclusionDraft
from app.actions.exclusion_preview import build_preview
from app.domain.errors import InvalidInput, NotFound
from app.domain.exclusion import validate_conditions
from app.domain.principal import Principal
from app.store import exclusions, matches
from app.store.exclusions import ExclusionHistory, State, conditions_of
from app.store.tables import ExclusionVersion
from app.web.access import Analyst
from app.web.api.fields import StorableText
from app.web.api.openapi import AUTH_STATUSES, JSON_BODY_STATUSES, problem_responses
from app.web.api.parameters import NO_REPEATED_PARAMETERS
from app.web.services import Services, ServicesDep
from app.web.urls import RowId

router = APIRouter(tags=["exclusions"], responses=problem_responses(*AUTH_STATUSES))
PATH = "/api/v1/exclusions"


class ConditionModel(BaseModel):
    """One condition; all of an exclusion's must hold."""

    model_config = ConfigDict(extra="forbid")

    field: StorableText = Field(description="Such as container.image.name or ssh.destination.")
    operator: StorableText = Field(description="is, is not, is one of, matches, exists, …")
    values: list[StorableText] = []


class ExclusionIn(BaseModel):
    """A new exclusion. `ends_at` needs a time zone."""

    model_config = ConfigDict(extra="forbid")

    rule_id: StorableText
    conditions: list[ConditionModel]
    reason: StorableText
    owner: StorableText
    ends_at: datetime
    from_alert: int | None = Field(default=None, ge=0, lt=2**63)


class ExclusionChange(BaseModel):
    """Either a decision on the version that waits, or the fields of a further version."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "decline"] | None = None
    conditions: list[ConditionModel] | None = None
    reason: StorableText | None = None
    owner: StorableText | None = None
    ends_at: datetime | None = None
    version: int | None = Field(default=None, description="The version you saw; 409 if it is old.")


class VersionOut(BaseModel):
    version: int
    conditions: list[ConditionModel]
    reason: str
    owner: str
    ends_at: datetime
    proposed_by: str
    proposed_at: datetime
    decision: str
    decided_by: str | None
    decided_at: datetime | None


class ExclusionOut(BaseModel):
    id: int
    rule_id: str
    state: State
    from_alert: int | None
    live_version: int | None
    newest_version: int
    ended_at: datetime | None
    ended_by: str | None
    suppressed: int = Field(description="Matches it has hidden, over all versions.")
    versions: list[VersionOut] = Field(description="Oldest first.")


class ExclusionsOut(BaseModel):
    exclusions: list[ExclusionOut]


def _version_out(version: ExclusionVersion) -> VersionOut:
    fields = {name: getattr(version, name) for name in VersionOut.model_fields}
    fields["conditions"] = [
        ConditionModel(field=c.field, operator=str(c.operator), values=list(c.values))
        for c in conditions_of(version)
    ]
    return VersionOut.model_validate(fields)


def _out(
    whole: ExclusionHistory, hits: dict[int, tuple[int, datetime]], at: datetime
) -> ExclusionOut:
    record = whole.record
    return ExclusionOut(
        id=record.id or 0,
        rule_id=record.rule_id,
        state=whole.state(at),
        from_alert=record.from_alert_id,
        live_version=record.live_version,
        newest_version=record.newest_version,
        ended_at=record.ended_at,
        ended_by=record.ended_by,
        suppressed=hits.get(record.id or 0, (0, None))[0],
        versions=[_version_out(version) for version in whole.versions],
    )


def _load(services: Services, exclusion_id: int) -> ExclusionOut:
    with services.database.read() as session:
        whole = exclusions.get(session, exclusion_id)
        if whole is None:
            raise NotFound(f"There is no exclusion {exclusion_id}.")
        hits = matches.suppression_counts(session)
    return _out(whole, hits, services.clock())


def _check_draft(services: Services, draft: ExclusionDraft) -> exclusion_draft.ValidExclusion:
    return exclusion_draft.validate(
        draft,
        at=services.clock(),
        longest=services.settings.exclusion_max_duration,
        rule_ids=[rule.id for rule in services.rules.rules],
    )


def _require_time_zone(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise InvalidInput(
            {"ends_at": "Give the end with its time zone, such as 2027-02-22T00:00:00Z."}
        )
    return moment


@router.get(
    PATH,
    summary="List exclusions",
    responses=problem_responses(422),
    dependencies=[NO_REPEATED_PARAMETERS],
)
def list_exclusions(
    principal: Analyst, services: ServicesDep, state: State | None = None
) -> ExclusionsOut:
    """Newest first, with all their versions."""
    at = services.clock()
    with services.database.read() as session:
        everything = exclusions.list_all(session)
        hits = matches.suppression_counts(session)
    chosen = [whole for whole in everything if state is None or whole.state(at) is state]
    return ExclusionsOut(exclusions=[_out(whole, hits, at) for whole in chosen])


@router.post(
    PATH,
    status_code=201,
    summary="Propose an exclusion",
    responses=problem_responses(*JSON_BODY_STATUSES, 404),
)
def propose_exclusion(
    wanted: ExclusionIn, principal: Analyst, services: ServicesDep
) -> ExclusionOut:
    """Live at once when an admin proposes it; otherwise it waits for one."""
    draft = ExclusionDraft(
        rule_id=wanted.rule_id,
        conditions=[(c.field, c.operator, c.values) for c in wanted.conditions],
        reason=wanted.reason,
        owner=wanted.owner,
        ends_at=_require_time_zone(wanted.ends_at),
        from_alert_id=wanted.from_alert,
    )
    checked = _check_draft(services, draft)
    proposal = actions.propose(services.database, checked, principal=principal, at=services.clock())
    whole = proposal.exclusion
    return _load(services, whole.record.id or 0)


class PreviewIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rule_id: str
    conditions: list[ConditionModel]


class PreviewOut(BaseModel):
    """What the conditions would have hidden among the rule's matches of the last 30 days."""

    examined: int = Field(description="Matches looked at, newest first.")
    complete: bool = Field(description="False when there were more matches than were looked at.")
    hidden: int
    alerts: list[int] = Field(description="Alerts of which it would have hidden a match.")
    true_positives: list[int] = Field(description="Those of them closed as true positive.")
    distinct: dict[str, int] = Field(description="Different images, containers, hosts, …")
    samples: list[int] = Field(description="Ids of some of the matches, newest first.")


@router.post(
    PATH + "/preview",
    summary="Preview an exclusion",
    responses=problem_responses(*JSON_BODY_STATUSES),
)
def preview_exclusion(wanted: PreviewIn, principal: Analyst, services: ServicesDep) -> PreviewOut:
    """Saves nothing. Refuses what saving would refuse."""
    if services.find_rule(wanted.rule_id) is None:
        raise InvalidInput({"rule_id": "There is no such rule."})
    conditions = validate_conditions([(c.field, c.operator, c.values) for c in wanted.conditions])
    result = build_preview(services.database, wanted.rule_id, conditions, at=services.clock())
    return PreviewOut(
        examined=result.examined,
        complete=result.complete,
        hidden=result.hidden,
        alerts=sorted(result.alerts),
        true_positives=sorted(result.true_positives),
        distinct={name: len(values) for name, values in result.distinct.items()},
        samples=result.samples,
    )


@router.get(PATH + "/{exclusion_id}", summary="One exclusion", responses=problem_responses(404))
def get_exclusion(exclusion_id: RowId, principal: Analyst, services: ServicesDep) -> ExclusionOut:
    return _load(services, exclusion_id)


@router.patch(
    PATH + "/{exclusion_id}",
    summary="Decide on or edit an exclusion",
    responses=problem_responses(*JSON_BODY_STATUSES, 404, 409),
)
def change_exclusion(
    exclusion_id: RowId, change: ExclusionChange, principal: Analyst, services: ServicesDep
) -> ExclusionOut:
    """A decision needs the role admin. An edit is a further version; the live one stays until then."""
    _load(services, exclusion_id)
    edits = change.model_fields_set - {"decision", "version"}
    if bool(edits) == (change.decision is not None):
        raise InvalidInput({"decision": "Send either a decision, or what to edit."})
    if change.decision is not None:
        actions.decide(
            services.database,
            exclusion_id,
            approve=change.decision == "approve",
            version=change.version,
            principal=principal,
            at=services.clock(),
        )
    else:
        _edit(services, exclusion_id, change, principal)
    return _load(services, exclusion_id)


def _edit(
    services: Services, exclusion_id: int, change: ExclusionChange, principal: Principal
) -> None:
    with services.database.read() as session:
        whole = exclusions.get(session, exclusion_id)
    if whole is None:
        raise NotFound(f"There is no exclusion {exclusion_id}.")
    newest = whole.newest
    conditions = (
        [(c.field, c.operator, c.values) for c in change.conditions]
        if change.conditions is not None
        else [(c.field, str(c.operator), c.values) for c in conditions_of(newest)]
    )
    draft = ExclusionDraft(
        rule_id=whole.record.rule_id,
        conditions=conditions,
        reason=newest.reason if change.reason is None else change.reason,
        owner=newest.owner if change.owner is None else change.owner,
        ends_at=newest.ends_at if change.ends_at is None else _require_time_zone(change.ends_at),
    )
    actions.edit(
        services.database,
        exclusion_id,
        _check_draft(services, draft),
        # What was merged here was the newest version: nobody else's may be lost unseen.
        base_version=newest.version if change.version is None else change.version,
        principal=principal,
        at=services.clock(),
    )


@router.delete(
    PATH + "/{exclusion_id}",
    status_code=204,
    summary="End an exclusion",
    responses=problem_responses(404, 409),
)
def end_exclusion(exclusion_id: RowId, principal: Analyst, services: ServicesDep) -> Response:
    """It and what it hid stay on record; the next such match raises an alert."""
    _load(services, exclusion_id)
    actions.end(
        services.database, exclusion_id, version=None, principal=principal, at=services.clock()
    )
    return Response(status_code=204)
