"""User actions on alerts: change the status, assign, comment, mark steps of the rule's guide as done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.alert import MAX_REASON_LENGTH, AlertAction, Status, next_status, validate_verdict
from app.domain.errors import Conflict, DeckwatchError, InvalidInput, NotFound
from app.domain.principal import Principal
from app.domain.text import text_error
from app.store import alerts, change_counters, users
from app.store.database import Database, Session
from app.store.tables import Alert, GuideTick, User


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A requested change of an alert's status. Closing an alert requires `verdict` and `reason`."""

    move: AlertAction
    verdict: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """A requested assignment to the user with this name; None unassigns the alert."""

    assignee: str | None


def change(
    database: Database,
    alert_id: int,
    changes: Sequence[StatusChange | Assignment],
    *,
    principal: Principal,
    at: datetime,
    version: int | None,
) -> Alert:
    """Apply all `changes` to one alert, or none of them.

    `version` is the version of the alert that the user saw. If `version` is None, versions are not compared.
    Raises NotFound if the alert does not exist, and InvalidInput if a verdict, reason or assignee is invalid.

    Raises Conflict in three cases:
    - The current version of the alert differs from `version`.
    - The status of the alert does not allow a change, for example because the alert is already closed.
    - A change reopens a closed alert, but a newer alert with the same fingerprint is open or acknowledged.
    """
    with database.write() as session:
        alert = _get_alert(session, alert_id, version)
        for requested in changes:
            _apply(session, alert, requested, principal=principal, at=at)
        return alert


def change_many(
    database: Database,
    alert_ids: Sequence[int],
    requested: StatusChange,
    *,
    principal: Principal,
    at: datetime,
) -> dict[int, str]:
    """Apply `requested` to each alert; skip alerts for which the change is not possible.

    Return the error messages of the skipped alerts by alert id.
    """
    failures: dict[int, str] = {}
    with database.write() as session:
        for alert_id in alert_ids:
            try:
                _apply(
                    session,
                    _get_alert(session, alert_id, None),
                    requested,
                    principal=principal,
                    at=at,
                )
            except DeckwatchError as error:
                failures[alert_id] = str(error)
    return failures


def close_in(
    session: Session,
    alert_id: int,
    *,
    verdict: str,
    reason: str,
    principal: Principal,
    at: datetime,
) -> bool:
    """Close an alert within the caller's transaction; return False if it is already closed."""
    alert = _get_alert(session, alert_id, None)
    if alert.status == Status.CLOSED:
        return False
    _change_status(
        session, alert, StatusChange(AlertAction.CLOSE, verdict, reason), principal=principal, at=at
    )
    return True


def _apply(
    session: Session,
    alert: Alert,
    requested: StatusChange | Assignment,
    *,
    principal: Principal,
    at: datetime,
) -> None:
    if isinstance(requested, StatusChange):
        _change_status(session, alert, requested, principal=principal, at=at)
    else:
        _assign(session, alert, requested.assignee, principal=principal, at=at)


def _change_status(
    session: Session, alert: Alert, requested: StatusChange, *, principal: Principal, at: datetime
) -> None:
    action = requested.move
    verdict = reason = None
    if action is AlertAction.CLOSE:
        verdict, reason = validate_verdict(requested.verdict, requested.reason)
    before = Status(alert.status)
    after = next_status(before, action)
    if before is Status.CLOSED:
        _require_no_newer_open_alert(session, alert)
    alert.status = after
    alert.verdict = str(verdict) if verdict else None
    alert.reason = reason
    alert.closed_at = at if verdict else None
    alert.closed_by = principal.name if verdict else None
    _save(session, alert)
    alerts.add_activity(
        session,
        alert.id or 0,
        at=at,
        actor=principal.name,
        kind=action.past_tense,
        before=before,
        after=alert.verdict or after,
        comment=alert.reason,
    )


def _assign(
    session: Session, alert: Alert, assignee: str | None, *, principal: Principal, at: datetime
) -> None:
    user = _get_active_user(session, assignee) if assignee else None
    before = users.names_by_id(session, [alert.assignee_id]).get(alert.assignee_id or 0)
    alert.assignee_id = user.id if user else None
    _save(session, alert)
    alerts.add_activity(
        session,
        alert.id or 0,
        at=at,
        actor=principal.name,
        kind="assigned",
        before=before,
        after=user.name if user else None,
    )


def comment(
    database: Database, alert_id: int, text: str, *, principal: Principal, at: datetime
) -> None:
    """Add a comment to an alert.

    Raises NotFound if the alert does not exist, and InvalidInput with key `comment` if the text is invalid.
    """
    text = text.strip()
    if error := text_error(text, MAX_REASON_LENGTH, if_empty="Enter a comment."):
        raise InvalidInput({"comment": error})
    with database.write() as session:
        _get_alert(session, alert_id, None)
        alerts.add_activity(
            session, alert_id, at=at, actor=principal.name, kind="commented", comment=text
        )
        change_counters.bump(session, change_counters.ALERTS)


def set_step_done(
    database: Database,
    alert_id: int,
    part: str,
    step_key: str,
    *,
    done: bool,
    step_title: str,
    principal: Principal,
    at: datetime,
) -> None:
    """Mark a step of the rule's guide as done or not done. Do nothing if it already has this state."""
    with database.write() as session:
        _get_alert(session, alert_id, None)
        was_done = (part, step_key) in alerts.guide_ticks(session, alert_id)
        if done is was_done:
            return
        if done:
            session.add(
                GuideTick(
                    alert_id=alert_id, part=part, step_key=step_key, actor=principal.name, at=at
                )
            )
        else:
            alerts.delete_guide_tick(session, alert_id, part, step_key)
        alerts.add_activity(
            session,
            alert_id,
            at=at,
            actor=principal.name,
            kind="ticked" if done else "unticked",
            after=step_title,
        )
        change_counters.bump(session, change_counters.ALERTS)


def _get_alert(session: Session, alert_id: int, version: int | None) -> Alert:
    alert = alerts.get(session, alert_id)
    if alert is None:
        raise NotFound(f"There is no alert {alert_id}.")
    if version is not None and version != alert.version:
        newest = alerts.list_activity(session, alert_id)[:1]
        last_change = f" {newest[0].actor} {_activity_verb(newest[0].kind)} it." if newest else ""
        raise Conflict(
            f"This alert changed while you were reading it.{last_change} "
            "Check the alert and try again."
        )
    return alert


def _activity_verb(kind: str) -> str:
    return {"commented": "commented on", "assigned": "reassigned"}.get(kind, kind)


def _require_no_newer_open_alert(session: Session, alert: Alert) -> None:
    newer = alerts.open_by_fingerprint(session, [alert.fingerprint]).get(alert.fingerprint)
    if newer is not None:
        raise Conflict(
            f"This alert cannot be reopened, because alert #{newer.id} for the same activity is open."
        )


def _get_active_user(session: Session, name: str) -> User:
    user = users.get_by_name(session, name)
    if user is None or user.disabled_at is not None:
        raise InvalidInput({"assignee": f"There is no active user named “{name}”."})
    return user


def _save(session: Session, alert: Alert) -> None:
    alert.version += 1
    session.add(alert)
    change_counters.bump(session, change_counters.ALERTS)
