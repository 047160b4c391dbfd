"""Queries for alerts, for their activity entries, and for the guide steps that are marked as done."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, func, or_
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from app.domain.alert import Status, Verdict
from app.domain.severity import Severity
from app.store.database import chunks
from app.store.tables import Alert, AlertActivity, GuideTick

COUNT_LIMIT = 1_000


class Sort(StrEnum):
    """Sort order of alerts: latest match first, highest priority first, or fewest matches first."""

    TIME = "time"
    PRIORITY = "priority"
    RARITY = "rarity"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Position in the sorted alert list: the sort key and the id of the last alert of a page.

    The next page begins after this alert.
    """

    key: datetime | int
    id: int


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Filters of the alert list, combined with AND; empty values do not filter.

    If `unassigned` is true, `assignee_id` is ignored. Each of the first ten words of `q` must occur in the
    `search_text` of the alert.
    """

    status: Status | None = None
    q: str = ""
    severity: Severity | None = None
    verdict: Verdict | None = None
    ssh_role: str = ""
    assignee_id: int | None = None
    unassigned: bool = False
    rule_id: str = ""
    host: str = ""
    container_id: str = ""
    container: str = ""
    image: str = ""
    namespace: str = ""
    user_name: str = ""
    destination: str = ""
    sort: Sort = Sort.TIME
    after: Cursor | None = None


_EQUALITY_FIELDS = (
    "rule_id",
    "host",
    "container_id",
    "container",
    "image",
    "namespace",
    "user_name",
    "destination",
    "ssh_role",
    "status",
    "severity",
    "verdict",
)

_SORT_COLUMNS: dict[Sort, tuple[Any, bool]] = {  # (column, whether the order is descending)
    Sort.TIME: (Alert.last_seen, True),
    Sort.PRIORITY: (Alert.priority, True),
    Sort.RARITY: (Alert.match_count, False),
}


def sort_key(alert: Alert, sort: Sort) -> datetime | int:
    """Return the value of `alert` that `sort` orders by, for the cursor of the next page."""
    key: datetime | int = getattr(alert, _SORT_COLUMNS[sort][0].key)
    return key


def search(session: Session, filters: AlertFilter, limit: int) -> list[Alert]:
    """Return at most `limit` alerts that match `filters`, in the order of `filters.sort`.

    Alerts with equal sort keys are ordered by id, the highest id first. If `filters.after` is not None, the
    result begins after this cursor.
    """
    column, descending = _SORT_COLUMNS[filters.sort]
    query = select(Alert).where(*_conditions(filters))
    if filters.after is not None:
        query = query.where(_after_cursor(column, descending, filters.after))
    ordered = col(column).desc() if descending else col(column).asc()
    return list(session.exec(query.order_by(ordered, col(Alert.id).desc()).limit(limit)))


def _after_cursor(column: Any, descending: bool, after: Cursor) -> ColumnElement[bool]:
    strictly = col(column) < after.key if descending else col(column) > after.key
    return or_(strictly, and_(col(column) == after.key, col(Alert.id) < after.id))


def _conditions(filters: AlertFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        col(getattr(Alert, name)) == value
        for name in _EQUALITY_FIELDS
        if (value := getattr(filters, name)) not in (None, "")
    ]
    if filters.unassigned:
        conditions.append(col(Alert.assignee_id).is_(None))
    elif filters.assignee_id is not None:
        conditions.append(col(Alert.assignee_id) == filters.assignee_id)
    conditions += (
        col(Alert.search_text).contains(word, autoescape=True)
        for word in filters.q.casefold().split()[:10]
    )
    return conditions


def count(session: Session, filters: AlertFilter, limit: int = COUNT_LIMIT) -> int:
    """Count the alerts that match `filters`; the result `limit` + 1 means more than `limit` alerts.

    The query stops counting at `limit` + 1, because counting a million alerts would be slow.
    """
    counted = select(Alert.id).where(*_conditions(filters)).limit(limit + 1).subquery()
    return session.exec(select(func.count()).select_from(counted)).one()


def open_counts_by_priority(session: Session) -> dict[int, int]:
    """Return the number of open alerts by priority.

    The query groups by priority, because the index `ix_alert_status_priority` contains the priority. No index
    contains the severity. Callers compute the severity from the priority.
    """
    return dict(
        session.exec(
            select(Alert.priority, func.count())
            .where(Alert.status == Status.OPEN)
            .group_by(col(Alert.priority))
        ).all()
    )


def has_any(session: Session) -> bool:
    return session.exec(select(Alert.id).limit(1)).first() is not None


def get(session: Session, alert_id: int) -> Alert | None:
    return session.get(Alert, alert_id)


def open_by_fingerprint(session: Session, fingerprints: Iterable[str]) -> dict[str, Alert]:
    """Return the open or acknowledged alert of each fingerprint.

    The result has no entry for a fingerprint that has no open or acknowledged alert.
    """
    unclosed: dict[str, Alert] = {}
    for chunk in chunks(sorted(set(fingerprints))):
        rows = session.exec(
            select(Alert).where(
                col(Alert.fingerprint).in_(chunk), col(Alert.status) != Status.CLOSED
            )
        )
        unclosed.update((alert.fingerprint, alert) for alert in rows)
    return unclosed


def ids_with_verdict(session: Session, ids: Iterable[int], verdict: Verdict) -> set[int]:
    """Return the ids among `ids` whose alerts were closed with `verdict`."""
    matching_ids: set[int] = set()
    for chunk in chunks(sorted(set(ids))):
        rows = session.exec(
            select(Alert.id).where(col(Alert.id).in_(chunk), Alert.verdict == verdict)
        )
        matching_ids.update(alert_id for alert_id in rows if alert_id is not None)
    return matching_ids


def add_activity(
    session: Session,
    alert_id: int,
    *,
    at: datetime,
    actor: str,
    kind: str,
    before: str | None = None,
    after: str | None = None,
    comment: str | None = None,
) -> None:
    session.add(
        AlertActivity(
            alert_id=alert_id,
            at=at,
            actor=actor,
            kind=kind,
            before=before,
            after=after,
            comment=comment,
        )
    )


def list_activity(session: Session, alert_id: int) -> list[AlertActivity]:
    """Return the alert's activity, newest first."""
    return list(
        session.exec(
            select(AlertActivity)
            .where(AlertActivity.alert_id == alert_id)
            .order_by(col(AlertActivity.id).desc())
        )
    )


def guide_ticks(session: Session, alert_id: int) -> dict[tuple[str, str], GuideTick]:
    """Return the guide steps that are marked as done, by (part, step key)."""
    rows = session.exec(select(GuideTick).where(GuideTick.alert_id == alert_id))
    return {(tick.part, tick.step_key): tick for tick in rows}


def delete_guide_tick(session: Session, alert_id: int, part: str, step_key: str) -> None:
    session.execute(
        delete(GuideTick).where(
            col(GuideTick.alert_id) == alert_id,
            col(GuideTick.part) == part,
            col(GuideTick.step_key) == step_key,
        )
    )


def latest_rule_name(session: Session, rule_id: str) -> str | None:
    """Return the rule name that the newest alert of the rule stores, or None if the rule has no alert."""
    return session.exec(
        select(Alert.rule_name)
        .where(Alert.rule_id == rule_id)
        .order_by(col(Alert.id).desc())
        .limit(1)
    ).first()


@dataclass(frozen=True, slots=True)
class RuleStatistics:
    """Counts of the alerts and matches of one rule. `open` includes acknowledged alerts."""

    open: int = 0
    closed: int = 0
    true_positives: int = 0
    matches: int = 0
    last_seen: datetime | None = None


def statistics_by_rule(session: Session) -> dict[str, RuleStatistics]:
    """Return the statistics of each rule that has an alert."""
    rows = session.execute(
        sql_select(
            col(Alert.rule_id),
            func.sum(case((col(Alert.status) != Status.CLOSED, 1), else_=0)),
            func.sum(case((col(Alert.status) == Status.CLOSED, 1), else_=0)),
            func.sum(case((col(Alert.verdict) == Verdict.TRUE_POSITIVE, 1), else_=0)),
            func.sum(col(Alert.match_count)),
            func.max(col(Alert.last_seen)),
        ).group_by(col(Alert.rule_id))
    )
    return {
        rule_id: RuleStatistics(
            int(unclosed), int(closed), int(true_positives), int(matches), last_seen
        )
        for rule_id, unclosed, closed, true_positives, matches, last_seen in rows
    }
