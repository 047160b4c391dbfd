"""What people do to alerts: change status, assign, comment, tick a guide step. One transaction each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.alert import REASON_LIMIT, Move, Status, closing, next_status
from app.domain.errors import Conflict, DeckwatchError, Invalid, NotFound
from app.domain.roles import Principal
from app.store import alerts, people, revisions
from app.store.database import Database, Session
from app.store.tables import Alert, GuideTick, User

_KINDS = {Move.ACKNOWLEDGE: "acknowledged", Move.CLOSE: "closed", Move.REOPEN: "reopened"}


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A requested status change. Closing needs `verdict` and `reason`."""

    move: Move
    verdict: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """A requested assignee by name; None unassigns."""

    assignee: str | None


def change(
    database: Database,
    alert_id: int,
    changes: Sequence[StatusChange | Assignment],
    *,
    who: Principal,
    at: datetime,
    version: int | None,
) -> Alert:
    """Apply all `changes` to one alert, or none of them.

    `version` is the alert's version that the user saw; None accepts any. Raises NotFound, Conflict (the
    alert changed since, the transition is not allowed, or a newer alert is open) or Invalid.
    """
    with database.write() as session:
        alert = _seen(session, alert_id, version)
        for requested in changes:
            _apply(session, alert, requested, who=who, at=at)
        return alert


def change_many(
    database: Database,
    alert_ids: Sequence[int],
    requested: StatusChange,
    *,
    who: Principal,
    at: datetime,
) -> dict[int, str]:
    """Apply `requested` to each alert that allows it; return the reasons of the others by id."""
    failures: dict[int, str] = {}
    with database.write() as session:
        for alert_id in alert_ids:
            try:
                _apply(session, _seen(session, alert_id, None), requested, who=who, at=at)
            except DeckwatchError as error:
                failures[alert_id] = str(error)
    return failures


def close_in(
    session: Session,
    alert_id: int,
    *,
    verdict: str,
    reason: str,
    who: Principal,
    at: datetime,
) -> bool:
    """Close an alert within the caller's transaction; False if it is closed already."""
    alert = _seen(session, alert_id, None)
    if alert.status == Status.CLOSED:
        return False
    _change_status(session, alert, StatusChange(Move.CLOSE, verdict, reason), who=who, at=at)
    return True


def _apply(
    session: Session,
    alert: Alert,
    requested: StatusChange | Assignment,
    *,
    who: Principal,
    at: datetime,
) -> None:
    if isinstance(requested, StatusChange):
        _change_status(session, alert, requested, who=who, at=at)
    else:
        _assign(session, alert, requested.assignee, who=who, at=at)


def _change_status(
    session: Session, alert: Alert, requested: StatusChange, *, who: Principal, at: datetime
) -> None:
    move = requested.move
    closed = closing(requested.verdict, requested.reason) if move is Move.CLOSE else None
    before = Status(alert.status)
    after = next_status(before, move)
    if before is Status.CLOSED:
        _refuse_second_open(session, alert)
    alert.status = after
    alert.verdict = str(closed[0]) if closed else None
    alert.reason = closed[1] if closed else None
    alert.closed_at = at if closed else None
    alert.closed_by = who.name if closed else None
    _changed(session, alert)
    alerts.add_activity(
        session,
        alert.id or 0,
        at=at,
        actor=who.name,
        kind=_KINDS[move],
        before=before,
        after=alert.verdict or after,
        comment=alert.reason,
    )


def _assign(
    session: Session, alert: Alert, assignee: str | None, *, who: Principal, at: datetime
) -> None:
    user = _person(session, assignee) if assignee else None
    before = people.names(session, [alert.assignee_id]).get(alert.assignee_id or 0)
    alert.assignee_id = user.id if user else None
    _changed(session, alert)
    alerts.add_activity(
        session,
        alert.id or 0,
        at=at,
        actor=who.name,
        kind="assigned",
        before=before,
        after=user.name if user else None,
    )


def comment(database: Database, alert_id: int, text: str, *, who: Principal, at: datetime) -> None:
    """Add a comment; raises NotFound, or Invalid with key `comment`."""
    text = text.strip()
    if not text:
        raise Invalid({"comment": "Write something first."})
    if len(text) > REASON_LIMIT:
        raise Invalid({"comment": f"At most {REASON_LIMIT} characters; this has {len(text)}."})
    with database.write() as session:
        _seen(session, alert_id, None)
        alerts.add_activity(
            session, alert_id, at=at, actor=who.name, kind="commented", comment=text
        )
        revisions.bump(session, revisions.ALERTS)


def tick(
    database: Database,
    alert_id: int,
    part: str,
    step_key: str,
    *,
    done: bool,
    step_title: str,
    who: Principal,
    at: datetime,
) -> None:
    """Record that a guide step was done, or take that back; saying the same again changes nothing."""
    with database.write() as session:
        _seen(session, alert_id, None)
        was_done = (part, step_key) in alerts.ticks(session, alert_id)
        if done is was_done:
            return
        if done:
            session.add(
                GuideTick(alert_id=alert_id, part=part, step_key=step_key, actor=who.name, at=at)
            )
        else:
            alerts.untick(session, alert_id, part, step_key)
        alerts.add_activity(
            session,
            alert_id,
            at=at,
            actor=who.name,
            kind="ticked" if done else "unticked",
            after=step_title,
        )
        revisions.bump(session, revisions.ALERTS)


def _seen(session: Session, alert_id: int, version: int | None) -> Alert:
    alert = alerts.get(session, alert_id)
    if alert is None:
        raise NotFound(f"There is no alert {alert_id}.")
    if version is not None and version != alert.version:
        newest = alerts.activity(session, alert_id)[:1]
        told = f" {newest[0].actor} {_told(newest[0].kind)} it." if newest else ""
        raise Conflict(f"This alert changed while you were reading it.{told} Nothing was saved.")
    return alert


def _told(kind: str) -> str:
    return {"commented": "commented on", "assigned": "reassigned"}.get(kind, kind)


def _refuse_second_open(session: Session, alert: Alert) -> None:
    newer = alerts.unclosed(session, [alert.fingerprint]).get(alert.fingerprint)
    if newer is not None:
        raise Conflict(f"Alert #{newer.id} has taken over for this one: reopen is not possible.")


def _person(session: Session, name: str) -> User:
    user = people.by_name(session, name)
    if user is None or user.disabled_at is not None:
        raise Invalid({"assignee": f"There is no active person named “{name}”."})
    return user


def _changed(session: Session, alert: Alert) -> None:
    alert.version += 1
    session.add(alert)
    revisions.bump(session, revisions.ALERTS)
