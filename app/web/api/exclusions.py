"""API for exclusions: list, read, preview, propose, edit, approve and end them."""

from dataclasses import replace
from datetime import UTC

from fastapi import APIRouter
from starlette.responses import Response

from app.actions import exclusion_draft
from app.actions import exclusions as actions
from app.actions.exclusion_draft import ExclusionDraft
from app.actions.exclusion_preview import build_preview
from app.domain.errors import InvalidInput, NotFound
from app.domain.exclusion import validate_conditions
from app.domain.principal import Principal
from app.store import exclusions, matches
from app.store.exclusions import ExclusionHistory, State
from app.web.access import Analyst
from app.web.api.exclusion_models import (
    ExclusionChange,
    ExclusionIn,
    ExclusionOut,
    ExclusionsOut,
    PreviewIn,
    PreviewOut,
    condition_tuples,
    conditions_out,
    exclusion_out,
)
from app.web.api.openapi import AUTH_STATUSES, JSON_BODY_STATUSES, problem_responses
from app.web.api.parameters import NO_REPEATED_PARAMETERS
from app.web.services import Services, ServicesDep
from app.web.urls import RowId

router = APIRouter(tags=["exclusions"], responses=problem_responses(*AUTH_STATUSES))
PATH = "/api/v1/exclusions"


def _get_or_404(services: Services, exclusion_id: int) -> ExclusionHistory:
    with services.database.read() as session:
        history = exclusions.get(session, exclusion_id)
    if history is None:
        raise NotFound(f"There is no exclusion {exclusion_id}.")
    return history


def _with_suppressed_count(services: Services, history: ExclusionHistory) -> ExclusionOut:
    with services.database.read() as session:
        suppressed = matches.suppression_counts(session)
    return exclusion_out(history, suppressed, services.clock())


def _validate(services: Services, draft: ExclusionDraft) -> exclusion_draft.ValidExclusion:
    if draft.ends_at is not None and draft.ends_at.tzinfo is None:
        raise InvalidInput(
            {"ends_at": "Give the end with its time zone, such as 2027-02-22T00:00:00Z."}
        )
    valid = exclusion_draft.validate(
        draft,
        at=services.clock(),
        longest=services.settings.exclusion_max_duration,
        rule_ids=[rule.id for rule in services.rules.rules],
    )
    # The database stores times in UTC, so later responses show the end in UTC. This conversion ensures that
    # the response to this request also shows the end in UTC.
    return replace(valid, ends_at=valid.ends_at.astimezone(UTC))


@router.get(
    PATH,
    summary="List exclusions",
    responses=problem_responses(422),
    dependencies=[NO_REPEATED_PARAMETERS],
)
def list_exclusions(
    principal: Analyst, services: ServicesDep, state: State | None = None
) -> ExclusionsOut:
    """Return the exclusions, newest first. Each exclusion contains all its versions."""
    at = services.clock()
    with services.database.read() as session:
        histories = exclusions.list_all(session)
        suppressed = matches.suppression_counts(session)
    return ExclusionsOut(
        exclusions=[
            exclusion_out(history, suppressed, at)
            for history in histories
            if state is None or history.state(at) is state
        ]
    )


@router.post(
    PATH,
    status_code=201,
    summary="Propose an exclusion",
    responses=problem_responses(*JSON_BODY_STATUSES, 404),
)
def propose_exclusion(
    exclusion: ExclusionIn, principal: Analyst, services: ServicesDep
) -> ExclusionOut:
    """An exclusion that an admin proposes takes effect immediately.

    An exclusion that an analyst proposes takes effect after an admin approves the exclusion.
    """
    draft = ExclusionDraft(
        rule_id=exclusion.rule_id,
        conditions=condition_tuples(exclusion.conditions),
        reason=exclusion.reason,
        owner=exclusion.owner,
        ends_at=exclusion.ends_at,
        from_alert_id=exclusion.from_alert,
    )
    proposal = actions.propose(
        services.database, _validate(services, draft), principal=principal, at=services.clock()
    )
    return _with_suppressed_count(services, proposal.exclusion)


@router.post(
    PATH + "/preview",
    summary="Preview an exclusion",
    responses=problem_responses(*JSON_BODY_STATUSES),
)
def preview_exclusion(preview: PreviewIn, principal: Analyst, services: ServicesDep) -> PreviewOut:
    """The preview stores nothing. Conditions that are invalid in a new exclusion are also rejected here."""
    if services.find_rule(preview.rule_id) is None:
        raise InvalidInput({"rule_id": "This rule does not exist."})
    conditions = validate_conditions(condition_tuples(preview.conditions))
    result = build_preview(services.database, preview.rule_id, conditions, at=services.clock())
    return PreviewOut(
        examined=result.examined,
        complete=result.complete,
        hidden=result.hidden,
        alerts=sorted(result.alerts),
        true_positives=sorted(result.true_positives),
        distinct={name: len(values) for name, values in result.distinct.items()},
        samples=result.samples,
    )


@router.get(PATH + "/{exclusion_id}", summary="Get an exclusion", responses=problem_responses(404))
def get_exclusion(exclusion_id: RowId, principal: Analyst, services: ServicesDep) -> ExclusionOut:
    return _with_suppressed_count(services, _get_or_404(services, exclusion_id))


@router.patch(
    PATH + "/{exclusion_id}",
    summary="Approve, decline or edit an exclusion",
    responses=problem_responses(*JSON_BODY_STATUSES, 404, 409),
)
def change_exclusion(
    exclusion_id: RowId, change: ExclusionChange, principal: Analyst, services: ServicesDep
) -> ExclusionOut:
    """Decide on the version that waits for approval, or create a new version.

    Only an admin can approve or decline. A version that an admin creates takes effect immediately.
    A version that an analyst creates takes effect after an admin approves the version. Until then, the live
    version stays in force.
    """
    history = _get_or_404(services, exclusion_id)
    edits = change.model_fields_set - {"decision", "version"}
    if bool(edits) == (change.decision is not None):
        raise InvalidInput({"decision": "Send either a decision or the fields to edit."})
    if change.decision is not None:
        history = actions.decide(
            services.database,
            exclusion_id,
            approve=change.decision == "approve",
            version=change.version,
            principal=principal,
            at=services.clock(),
        )
    else:
        history = _edit(services, history, change, principal)
    return _with_suppressed_count(services, history)


def _edit(
    services: Services, history: ExclusionHistory, change: ExclusionChange, principal: Principal
) -> ExclusionHistory:
    newest = history.newest
    conditions = change.conditions
    if conditions is None:
        conditions = conditions_out(newest)
    draft = ExclusionDraft(
        rule_id=history.record.rule_id,
        conditions=condition_tuples(conditions),
        reason=newest.reason if change.reason is None else change.reason,
        owner=newest.owner if change.owner is None else change.owner,
        ends_at=newest.ends_at if change.ends_at is None else change.ends_at,
    )
    return actions.edit(
        services.database,
        history.record.id or 0,
        _validate(services, draft),
        # The draft contains values of the newest version. If another user saves a version in the meantime,
        # the edit fails with Conflict.
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
    """The exclusion and its suppressed matches stay stored. Later matches open or update alerts again."""
    actions.end(
        services.database, exclusion_id, version=None, principal=principal, at=services.clock()
    )
    return Response(status_code=204)
