"""User actions on exclusions: propose, edit, approve, decline and end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.actions.alerts import close_in
from app.actions.exclusion_draft import ValidExclusion
from app.domain.alert import Verdict
from app.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from app.domain.exclusion import Condition
from app.domain.principal import Principal, Role
from app.store import alerts, audit, exclusions
from app.store.database import Database, Session
from app.store.exclusions import Decision, ExclusionHistory, State
from app.store.tables import ExclusionRecord, ExclusionVersion


@dataclass(frozen=True, slots=True)
class Proposal:
    """A saved exclusion.

    `closed_alert` is the id of the alert that was closed when the exclusion was saved. It is None if no alert
    was closed.
    """

    exclusion: ExclusionHistory
    closed_alert: int | None


def propose(
    database: Database,
    content: ValidExclusion,
    *,
    close_alert: bool = False,
    principal: Principal,
    at: datetime,
) -> Proposal:
    """Save a new exclusion. It takes effect at once if the principal is an admin, else after approval.

    If the exclusion takes effect at once and `close_alert` is true, the alert `content.from_alert_id` is
    closed as a false positive in the same transaction. Raises NotFound if this alert does not exist.
    """
    with database.write() as session:
        if content.from_alert_id is not None and alerts.get(session, content.from_alert_id) is None:
            raise NotFound(f"There is no alert {content.from_alert_id}.")
        record = ExclusionRecord(
            rule_id=content.rule_id,
            from_alert_id=content.from_alert_id,
            created_at=at,
            newest_version=0,
            live_version=None,
            ended_at=None,
            ended_by=None,
        )
        session.add(record)
        session.flush()
        if content.from_alert_id is not None:
            alerts.add_activity(
                session,
                content.from_alert_id,
                at=at,
                actor=principal.name,
                kind="excluded",
                after=str(record.id),
                comment=content.reason,
            )
        exclusion = _add_version(session, record, content, principal=principal, at=at)
        closed_alert = None
        if (
            close_alert
            and content.from_alert_id is not None
            and exclusion.state(at) is State.LIVE
            and close_in(
                session,
                content.from_alert_id,
                verdict=Verdict.FALSE_POSITIVE,
                reason=f"Covered by exclusion {record.id}: {content.reason}",
                principal=principal,
                at=at,
            )
        ):
            closed_alert = content.from_alert_id
        return Proposal(exclusion, closed_alert)


def edit(
    database: Database,
    exclusion_id: int,
    content: ValidExclusion,
    *,
    base_version: int | None,
    principal: Principal,
    at: datetime,
) -> ExclusionHistory:
    """Add a version to an exclusion. An earlier version that still waits for approval is declined.

    If the principal is an admin, the new version takes effect at once. Otherwise the new version waits for
    approval, and the version that was approved last remains in effect. `base_version` is the newest version
    that the user saw. If `base_version` is None, versions are not compared.

    Raises NotFound if the exclusion does not exist. Raises Conflict if the exclusion has ended, or if it has
    a newer version than `base_version`. Raises InvalidInput if the rule in `content` is not the rule of the
    exclusion.
    """
    with database.write() as session:
        history = _get_exclusion(session, exclusion_id, base_version)
        if history.state(at) is State.ENDED:
            raise Conflict("This exclusion has ended; create a new one instead.")
        if content.rule_id != history.record.rule_id:
            raise InvalidInput(
                {"rule": "The rule of an exclusion cannot change; create a new exclusion instead."}
            )
        if (waiting := history.waiting) is not None:
            _decide(session, waiting, Decision.DECLINED, principal=principal, at=at)
        return _add_version(session, history.record, content, principal=principal, at=at)


def decide(
    database: Database,
    exclusion_id: int,
    *,
    approve: bool,
    version: int | None,
    principal: Principal,
    at: datetime,
) -> ExclusionHistory:
    """Approve or decline the version that waits for approval.

    `version` is the newest version that the user saw. If `version` is None, versions are not compared. Raises
    Forbidden if the principal is not an admin, and NotFound if the exclusion does not exist.

    Raises Conflict in three cases:
    - The exclusion has a newer version than `version`.
    - No version waits for approval, or the exclusion has ended.
    - The version to approve has already expired.
    """
    if not principal.has_role(Role.ADMIN):
        raise Forbidden("Only an admin can approve or decline an exclusion.")
    with database.write() as session:
        history = _get_exclusion(session, exclusion_id, version)
        waiting = history.waiting
        if waiting is None or history.record.ended_at is not None:
            raise Conflict("No version of this exclusion waits for approval.")
        if approve and waiting.ends_at <= at:
            raise Conflict("The proposed end has passed; edit the exclusion and enter a new end.")
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
        return _get_exclusion(session, exclusion_id)


def end(
    database: Database,
    exclusion_id: int,
    *,
    version: int | None,
    principal: Principal,
    at: datetime,
) -> ExclusionHistory:
    """End an exclusion now, so that later matches open or update alerts again.

    The page of the exclusion still lists the matches that the exclusion suppressed. `version` is the newest
    version that the user saw. If `version` is None, versions are not compared.

    Raises NotFound if the exclusion does not exist. Raises Conflict if the exclusion has already ended, or if
    it has a newer version than `version`. Raises Forbidden if the exclusion was ever approved and the
    principal is not an admin.
    """
    with database.write() as session:
        history = _get_exclusion(session, exclusion_id, version)
        if history.record.ended_at is not None:
            raise Conflict("This exclusion has already ended.")
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
        return _get_exclusion(session, exclusion_id)


def _add_version(
    session: Session,
    record: ExclusionRecord,
    content: ValidExclusion,
    *,
    principal: Principal,
    at: datetime,
) -> ExclusionHistory:
    record.newest_version += 1
    version = ExclusionVersion(
        exclusion_id=record.id or 0,
        version=record.newest_version,
        conditions=exclusions.conditions_to_json(content.conditions),
        reason=content.reason,
        owner=content.owner,
        ends_at=content.ends_at,
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
        detail=f"version {version.version}: {describe_conditions(content.conditions)}; until "
        f"{content.ends_at:%Y-%m-%d %H:%M} UTC; {content.reason}",
        address=principal.address,
    )
    if principal.has_role(Role.ADMIN):
        _decide(session, version, Decision.APPROVED, principal=principal, at=at)
        record.live_version = version.version
    session.add(record)
    exclusions.mark_changed(session)
    session.flush()
    return _get_exclusion(session, record.id or 0)


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


def _get_exclusion(
    session: Session, exclusion_id: int, version: int | None = None
) -> ExclusionHistory:
    history = exclusions.get(session, exclusion_id)
    if history is None:
        raise NotFound(f"There is no exclusion {exclusion_id}.")
    if version is not None and version != history.record.newest_version:
        newest = history.newest
        raise Conflict(
            f"{newest.proposed_by} saved version {newest.version} while you were viewing "
            f"version {version}. Check the new version and try again."
        )
    return history


def describe_conditions(conditions: Sequence[Condition]) -> str:
    """Return the conditions on one line, for the audit log and page titles."""
    return " and ".join(
        f"{c.field} {c.operator} {', '.join(c.values)}".rstrip() for c in conditions
    )
