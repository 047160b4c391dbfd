"""Proposing, approving, declining, editing and ending exclusions. One transaction each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.actions.alerts import close_in
from app.domain.alert import Verdict
from app.domain.errors import Conflict, Forbidden, Invalid, NotFound
from app.domain.exclusion import Condition, checked_conditions, checked_end
from app.domain.roles import Principal, Role
from app.store import alerts, audit, exclusions
from app.store.database import Database, Session
from app.store.exclusions import Decision, State, Whole
from app.store.tables import ExclusionRecord, ExclusionVersion

REASON_LIMIT = 2_000
OWNER_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody typed, unchecked: conditions are (field, operator, values)."""

    rule_id: str
    conditions: Sequence[tuple[str, str, Sequence[str]]]
    reason: str
    owner: str
    ends_at: datetime | None
    from_alert_id: int | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    rule_id: str
    conditions: tuple[Condition, ...]
    reason: str
    owner: str
    ends_at: datetime
    from_alert_id: int | None


def checked(draft: Draft, *, at: datetime, longest: timedelta, rule_ids: Sequence[str]) -> Checked:
    """A draft fit to be saved; raises Invalid naming every field that is not, all at once."""
    problems: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()
    ends_at = at
    if draft.rule_id not in rule_ids:
        problems["rule"] = "Choose the rule whose matches it covers."
    try:
        conditions = checked_conditions(draft.conditions)
    except Invalid as error:
        problems |= error.fields
    reason, owner = draft.reason.strip(), draft.owner.strip()
    if not reason:
        problems["reason"] = "Say why these matches are harmless."
    elif len(reason) > REASON_LIMIT:
        problems["reason"] = f"At most {REASON_LIMIT} characters; this has {len(reason)}."
    if not owner:
        problems["owner"] = "Name a person or team who answers for it."
    elif len(owner) > OWNER_LIMIT:
        problems["owner"] = f"At most {OWNER_LIMIT} characters; this has {len(owner)}."
    try:
        ends_at = checked_end(draft.ends_at, now=at, longest=longest)
    except Invalid as error:
        problems |= error.fields
    if problems:
        raise Invalid(problems)
    return Checked(draft.rule_id, conditions, reason, owner, ends_at, draft.from_alert_id)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A saved proposal, and the id of the alert that was closed with it."""

    exclusion: Whole
    closed_alert: int | None


def propose(
    database: Database,
    wanted: Checked,
    *,
    close_alert: bool = False,
    who: Principal,
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
                actor=who.name,
                kind="excluded",
                after=str(record.id),
                comment=wanted.reason,
            )
        exclusion = _add_version(session, record, wanted, who=who, at=at)
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
                who=who,
                at=at,
            )
        ):
            closed_alert = wanted.from_alert_id
        return Proposal(exclusion, closed_alert)


def edit(
    database: Database,
    exclusion_id: int,
    wanted: Checked,
    *,
    base_version: int | None,
    who: Principal,
    at: datetime,
) -> Whole:
    """A further version. What was approved stays in force until an admin approves this one."""
    with database.write() as session:
        whole = _seen(session, exclusion_id, base_version)
        if whole.state(at) is State.ENDED:
            raise Conflict("This exclusion has ended; write a new one instead.")
        if wanted.rule_id != whole.record.rule_id:
            raise Invalid({"rule": "An exclusion keeps its rule; write a new one for another."})
        if (waiting := whole.waiting) is not None:
            _decide(session, waiting, Decision.DECLINED, who=who, at=at)
        return _add_version(session, whole.record, wanted, who=who, at=at)


def decide(
    database: Database,
    exclusion_id: int,
    *,
    approve: bool,
    version: int | None,
    who: Principal,
    at: datetime,
) -> Whole:
    """An admin's answer to the waiting version; raises Forbidden, NotFound or Conflict."""
    if not who.may(Role.ADMIN):
        raise Forbidden("Only an admin can approve or decline an exclusion.")
    with database.write() as session:
        whole = _seen(session, exclusion_id, version)
        waiting = whole.waiting
        if waiting is None or whole.record.ended_at is not None:
            raise Conflict("Nothing waits for approval here.")
        if approve and waiting.ends_at <= at:
            raise Conflict("Its end has passed; edit it and give it a new one.")
        _decide(
            session,
            waiting,
            Decision.APPROVED if approve else Decision.DECLINED,
            who=who,
            at=at,
        )
        if approve:
            whole.record.live_version = waiting.version
            session.add(whole.record)
        exclusions.changed(session)
        session.flush()
        return _again(session, exclusion_id)


def end(
    database: Database,
    exclusion_id: int,
    *,
    version: int | None,
    who: Principal,
    at: datetime,
) -> Whole:
    """End it now: the next such match alerts again. What it hid stays listed under it.

    An admin may end any; others only what nobody has approved yet.
    """
    with database.write() as session:
        whole = _seen(session, exclusion_id, version)
        if whole.record.ended_at is not None:
            raise Conflict("It has ended already.")
        if whole.live is not None and not who.may(Role.ADMIN):
            raise Forbidden("Only an admin can end an exclusion that was approved.")
        whole.record.ended_at = at
        whole.record.ended_by = who.name
        session.add(whole.record)
        if (waiting := whole.waiting) is not None:
            _decide(session, waiting, Decision.DECLINED, who=who, at=at)
        exclusions.changed(session)
        audit.record(
            session,
            at=at,
            actor=who.name,
            action="exclusion.ended",
            subject=f"exclusion {exclusion_id}",
            address=who.address,
        )
        return _again(session, exclusion_id)


def _add_version(
    session: Session, record: ExclusionRecord, wanted: Checked, *, who: Principal, at: datetime
) -> Whole:
    record.newest_version += 1
    version = ExclusionVersion(
        exclusion_id=record.id or 0,
        version=record.newest_version,
        conditions=exclusions.condition_rows(wanted.conditions),
        reason=wanted.reason,
        owner=wanted.owner,
        ends_at=wanted.ends_at,
        proposed_by=who.name,
        proposed_at=at,
        decision=Decision.WAITING,
        decided_by=None,
        decided_at=None,
    )
    session.add(version)
    audit.record(
        session,
        at=at,
        actor=who.name,
        action="exclusion.proposed",
        subject=f"exclusion {record.id}",
        detail=f"version {version.version}: {in_words(wanted.conditions)}; until "
        f"{wanted.ends_at:%Y-%m-%d %H:%M} UTC; {wanted.reason}",
        address=who.address,
    )
    if who.may(Role.ADMIN):
        _decide(session, version, Decision.APPROVED, who=who, at=at)
        record.live_version = version.version
    session.add(record)
    exclusions.changed(session)
    session.flush()
    return _again(session, record.id or 0)


def _decide(
    session: Session,
    version: ExclusionVersion,
    decision: Decision,
    *,
    who: Principal,
    at: datetime,
) -> None:
    version.decision = decision
    version.decided_by = who.name
    version.decided_at = at
    session.add(version)
    audit.record(
        session,
        at=at,
        actor=who.name,
        action=f"exclusion.{decision}",
        subject=f"exclusion {version.exclusion_id}",
        detail=f"version {version.version}",
        address=who.address,
    )


def _seen(session: Session, exclusion_id: int, version: int | None) -> Whole:
    whole = exclusions.get(session, exclusion_id)
    if whole is None:
        raise NotFound(f"There is no exclusion {exclusion_id}.")
    if version is not None and version != whole.record.newest_version:
        newest = whole.newest
        raise Conflict(
            f"{newest.proposed_by} saved version {newest.version} while you were reading "
            f"version {version}. Nothing of yours was saved yet."
        )
    return whole


def _again(session: Session, exclusion_id: int) -> Whole:
    whole = exclusions.get(session, exclusion_id)
    if whole is None:
        raise NotFound(f"There is no exclusion {exclusion_id}.")
    return whole


def in_words(conditions: Sequence[Condition]) -> str:
    """Conditions on one line, as the audit log and the page's title say them."""
    return " and ".join(
        f"{c.field} {c.operator} {', '.join(c.values)}".rstrip() for c in conditions
    )
