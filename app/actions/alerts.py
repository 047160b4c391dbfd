"""What people do to an alert: move its status, assign it, comment, tick a step. One transaction each."""

from datetime import datetime

from app.domain.alert import REASON_LIMIT, Move, Status, closing, next_status
from app.domain.errors import Conflict, Invalid, NotFound
from app.domain.roles import Principal
from app.store import alerts, people, revisions
from app.store.database import Database, Session
from app.store.tables import Alert, GuideTick, User

_KINDS = {Move.ACKNOWLEDGE: "acknowledged", Move.CLOSE: "closed", Move.REOPEN: "reopened"}


def move(
    database: Database,
    alert_id: int,
    wanted: Move,
    *,
    who: Principal,
    at: datetime,
    version: int | None,
    verdict: str | None = None,
    reason: str | None = None,
) -> Alert:
    """Change the status; closing needs `verdict` and `reason`.

    `version` is the one the person saw, None to take any. Raises NotFound, Conflict (changed
    meanwhile, not possible from here, or a newer alert has taken over) or Invalid.
    """
    closed = closing(verdict, reason) if wanted is Move.CLOSE else None
    with database.write() as session:
        alert = _seen(session, alert_id, version)
        before = Status(alert.status)
        after = next_status(before, wanted)
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
            alert_id,
            at=at,
            actor=who.name,
            kind=_KINDS[wanted],
            before=before,
            after=alert.verdict or after,
            comment=alert.reason,
        )
        return alert


def assign(
    database: Database,
    alert_id: int,
    assignee: str | None,
    *,
    who: Principal,
    at: datetime,
    version: int | None,
) -> Alert:
    """Give the alert to a person by name, or to nobody; raises NotFound, Conflict or Invalid."""
    with database.write() as session:
        alert = _seen(session, alert_id, version)
        user = _person(session, assignee) if assignee else None
        before = people.names(session, [alert.assignee_id]).get(alert.assignee_id or 0)
        alert.assignee_id = user.id if user else None
        _changed(session, alert)
        alerts.add_activity(
            session,
            alert_id,
            at=at,
            actor=who.name,
            kind="assigned",
            before=before,
            after=user.name if user else None,
        )
        return alert


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
