"""Proposing, approving, declining, editing and ending exclusions. One transaction each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.actions.alerts import close_in
from app.domain.alert import Verdict
from app.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from app.domain.exclusion import Condition, validate_conditions, validate_end
from app.domain.principal import Principal, Role
from app.store import alerts, audit, exclusions
from app.store.database import Database, Session
from app.store.exclusions import Decision, ExclusionHistory, State
from app.store.tables import ExclusionRecord, ExclusionVersion

REASON_MAX_LENGTH = 2_000
OWNER_MAX_LENGTH = 100


@dataclass(frozen=True, slots=True)
class ExclusionDraft:
    """What somebody typed, unchecked: conditions are (field, operator, values)."""

    rule_id: str
    conditions: Sequence[tuple[str, str, Sequence[str]]]
    reason: str
    owner: str
    ends_at: datetime | None
    from_alert_id: int | None = None


@dataclass(frozen=True, slots=True)
class ValidExclusion:
    rule_id: str
    conditions: tuple[Condition, ...]
    reason: str
    owner: str
    ends_at: datetime
    from_alert_id: int | None


def validate(
    draft: ExclusionDraft, *, at: datetime, longest: timedelta, rule_ids: Sequence[str]
) -> ValidExclusion:
    """A draft fit to be saved; raises InvalidInput naming every field that is not, all at once."""
    problems: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()
    ends_at = at
    if draft.rule_id not in rule_ids:
        problems["rule"] = "Choose the rule whose matches it covers."
    try:
        conditions = validate_conditions(draft.conditions)
    except InvalidInput as error:
        problems |= error.fields
    reason, owner = draft.reason.strip(), draft.owner.strip()
    if not reason:
        problems["reason"] = "Say why these matches are harmless."
    elif len(reason) > REASON_MAX_LENGTH:
        problems["reason"] = f"At most {REASON_MAX_LENGTH} characters; this has {len(reason)}."
    if not owner:
        problems["owner"] = "Name a person or team who answers for it."
    elif len(owner) > OWNER_MAX_LENGTH:
        problems["owner"] = f"At most {OWNER_MAX_LENGTH} characters; this has {len(owner)}."
    try:
        ends_at = validate_end(draft.ends_at, now=at, max_duration=longest)
    except InvalidInput as error:
        problems |= error.fields
    if problems:
        raise InvalidInput(problems)
    return ValidExclusion(draft.rule_id, conditions, reason, owner, ends_at, draft.from_alert_id)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A saved proposal, and the id of the alert that was closed with it."""

    exclusion: ExclusionHistory
    closed_alert: int | None


def propose(
    database: Database,
    wanted: ValidExclusion,
    *,
    close_alert: bool = False,
    principal: Principal,
    at: datetime,
) -> Proposal:
    """Save a new exclusion: live at once when an admin proposes it, else waiting for approval.

    With `close_alert`, an exclusion that is live at once also closes the alert that it was made from, as
    a false positive, in the same transaction.
    """
    with database.write() as session:
        if wanted.from_alert_id is not None and alerts.get(session, wanted.from_alert_id) is None:
            raise NotFound(f"There is no alert {wanted.from_alert_id}.")
        record = ExclusionRecord(
            rule_id=wanted.rule_id,
            from_alert_id=wanted.from_alert_id,
            created_at=at,
            newest_version=0,
            live_version=None,
            ended_at=None,
            ended_by=None,
        )
        session.add(record)
        session.flush()
        if wanted.from_alert_id is not None:
            alerts.add_activity(
                session,
                wanted.from_alert_id,
                at=at,
                actor=principal.name,
                kind="excluded",
                after=str(record.id),
                comment=wanted.reason,
            )
        exclusion = _add_version(session, record, wanted, principal=principal, at=at)
        closed_alert = None
        if (
            close_alert
            and wanted.from_alert_id is not None
            and exclusion.state(at) is State.LIVE
            and close_in(
                session,
                wanted.from_alert_id,
                verdict=Verdict.FALSE_POSITIVE,
                reason=f"Covered by exclusion {record.id}: {wanted.reason}",
                principal=principal,
                at=at,
            )
        ):
            closed_alert = wanted.from_alert_id
        return Proposal(exclusion, closed_alert)


def edit(
    database: Database,
    exclusion_id: int,
    wanted: ValidExclusion,
    *,
    base_version: int | None,
    principal: Principal,
    at: datetime,
) -> ExclusionHistory:
    """A further version. What was approved stays in force until an admin approves this one."""
    with database.write() as session:
        history = _get_exclusion(session, exclusion_id, base_version)
        if history.state(at) is State.ENDED:
            raise Conflict("This exclusion has ended; write a new one instead.")
        if wanted.rule_id != history.record.rule_id:
            raise InvalidInput(
                {"rule": "An exclusion keeps its rule; write a new one for another."}
            )
        if (waiting := history.waiting) is not None:
            _decide(session, waiting, Decision.DECLINED, principal=principal, at=at)
        return _add_version(session, history.record, wanted, principal=principal, at=at)


def decide(
    database: Database,
    exclusion_id: int,
    *,
    approve: bool,
    version: int | None,
    principal: Principal,
    at: datetime,
) -> ExclusionHistory:
    """An admin's answer to the waiting version; raises Forbidden, NotFound or Conflict."""
    if not principal.has_role(Role.ADMIN):
        raise Forbidden("Only an admin can approve or decline an exclusion.")
    with database.write() as session:
        history = _get_exclusion(session, exclusion_id, version)
        waiting = history.waiting
        if waiting is None or history.record.ended_at is not None:
            raise Conflict("Nothing waits for approval here.")
        if approve and waiting.ends_at <= at:
            raise Conflict("Its end has passed; edit it and give it a new one.")
        _decide(
            session,
            waiting,
            Decision.APPROVED if approve else Decision.DECLINED,
            principal=principal,
            at=at,
        )
        if approve:
            history.record.live_version = waiting.version
            session.add(history.record)
        exclusions.mark_changed(session)
        session.flush()
        return _reload(session, exclusion_id)


def end(
    database: Database,
    exclusion_id: int,
    *,
    version: int | None,
    principal: Principal,
    at: datetime,
) -> ExclusionHistory:
    """End it now: the next such match alerts again. What it hid stays listed under it.

    An admin may end any; others only what nobody has approved yet.
    """
    with database.write() as session:
        history = _get_exclusion(session, exclusion_id, version)
        if history.record.ended_at is not None:
            raise Conflict("It has ended already.")
        if history.live is not None and not principal.has_role(Role.ADMIN):
            raise Forbidden("Only an admin can end an exclusion that was approved.")
        history.record.ended_at = at
        history.record.ended_by = principal.name
        session.add(history.record)
        if (waiting := history.waiting) is not None:
            _decide(session, waiting, Decision.DECLINED, principal=principal, at=at)
        exclusions.mark_changed(session)
        audit.record(
            session,
            at=at,
            actor=principal.name,
            action="exclusion.ended",
            subject=f"exclusion {exclusion_id}",
            address=principal.address,
        )
        return _reload(session, exclusion_id)


def _add_version(
    session: Session,
    record: ExclusionRecord,
    wanted: ValidExclusion,
    *,
    principal: Principal,
    at: datetime,
) -> ExclusionHistory:
    record.newest_version += 1
    version = ExclusionVersion(
        exclusion_id=record.id or 0,
        version=record.newest_version,
        conditions=exclusions.conditions_to_json(wanted.conditions),
        reason=wanted.reason,
        owner=wanted.owner,
        ends_at=wanted.ends_at,
        proposed_by=principal.name,
        proposed_at=at,
        decision=Decision.WAITING,
        decided_by=None,
        decided_at=None,
    )
    session.add(version)
    audit.record(
        session,
        at=at,
        actor=principal.name,
        action="exclusion.proposed",
        subject=f"exclusion {record.id}",
        detail=f"version {version.version}: {describe_conditions(wanted.conditions)}; until "
        f"{wanted.ends_at:%Y-%m-%d %H:%M} UTC; {wanted.reason}",
        address=principal.address,
    )
    if principal.has_role(Role.ADMIN):
        _decide(session, version, Decision.APPROVED, principal=principal, at=at)
        record.live_version = version.version
    session.add(record)
    exclusions.mark_changed(session)
    session.flush()
    return _reload(session, record.id or 0)


def _decide(
    session: Session,
    version: ExclusionVersion,
    decision: Decision,
    *,
    principal: Principal,
    at: datetime,
) -> None:
    version.decision = decision
    version.decided_by = principal.name
    version.decided_at = at
    session.add(version)
    audit.record(
        session,
        at=at,
        actor=principal.name,
        action=f"exclusion.{decision}",
        subject=f"exclusion {version.exclusion_id}",
        detail=f"version {version.version}",
        address=principal.address,
    )


def _get_exclusion(session: Session, exclusion_id: int, version: int | None) -> ExclusionHistory:
    history = exclusions.get(session, exclusion_id)
    if history is None:
        raise NotFound(f"There is no exclusion {exclusion_id}.")
    if version is not None and version != history.record.newest_version:
        newest = history.newest
        raise Conflict(
            f"{newest.proposed_by} saved version {newest.version} while you were reading "
            f"version {version}. Nothing of yours was saved yet."
        )
    return history


def _reload(session: Session, exclusion_id: int) -> ExclusionHistory:
    history = exclusions.get(session, exclusion_id)
    if history is None:
        raise NotFound(f"There is no exclusion {exclusion_id}.")
    return history


def describe_conditions(conditions: Sequence[Condition]) -> str:
    """Conditions on one line, as the audit log and the page's title say them."""
    return " and ".join(
        f"{c.field} {c.operator} {', '.join(c.values)}".rstrip() for c in conditions
    )
