"""Queries for exclusions and their versions, and a cache of the live exclusions.

An exclusion belongs to one rule. It suppresses the matches of this rule that meet all conditions of the
exclusion. A change of an exclusion creates a new version, which takes effect when an admin has approved it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.domain.exclusion import Condition, Exclusion, Operator
from app.store import change_counters
from app.store.tables import ExclusionRecord, ExclusionVersion


class Decision(StrEnum):
    """An admin's decision on a version of an exclusion. The database stores these values."""

    WAITING = "waiting"
    APPROVED = "approved"
    DECLINED = "declined"


class State(StrEnum):
    """The state of an exclusion at a given time.

    The state is computed from the stored columns and the time. Therefore an exclusion expires without a
    write to the database.
    """

    PROPOSED = "proposed"
    LIVE = "live"
    EXPIRED = "expired"
    ENDED = "ended"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class ExclusionHistory:
    """An exclusion with all its versions, oldest first."""

    record: ExclusionRecord
    versions: tuple[ExclusionVersion, ...]

    @property
    def newest(self) -> ExclusionVersion:
        return self.versions[-1]

    @property
    def live(self) -> ExclusionVersion | None:
        """The version that was approved last, or None. The version may have expired."""
        return next((v for v in self.versions if v.version == self.record.live_version), None)

    @property
    def waiting(self) -> ExclusionVersion | None:
        newest = self.newest
        return newest if newest.decision == Decision.WAITING else None

    def state(self, at: datetime) -> State:
        if self.record.ended_at is not None:
            return State.ENDED
        if self.live is not None:
            return State.LIVE if self.live.ends_at > at else State.EXPIRED
        return State.PROPOSED if self.waiting else State.DECLINED


def conditions_to_json(conditions: Sequence[Condition]) -> list[dict[str, Any]]:
    return [
        {"field": c.field, "operator": str(c.operator), "values": list(c.values)}
        for c in conditions
    ]


def conditions_of(version: ExclusionVersion) -> tuple[Condition, ...]:
    return tuple(
        Condition(row["field"], Operator(row["operator"]), tuple(row["values"]))
        for row in version.conditions
    )


def list_live(session: Session) -> tuple[Exclusion, ...]:
    """Return the version that was approved last, for each exclusion that no user has ended.

    The result can include expired versions; `Exclusion.covers` compares the time of a match with `ends_at`.
    """
    rows = session.exec(
        select(ExclusionRecord, ExclusionVersion)
        .join(
            ExclusionVersion,
            (col(ExclusionVersion.exclusion_id) == col(ExclusionRecord.id))
            & (col(ExclusionVersion.version) == col(ExclusionRecord.live_version)),
        )
        .where(col(ExclusionRecord.ended_at).is_(None))
        .order_by(col(ExclusionRecord.id))
    )
    return tuple(
        Exclusion(
            id=record.id or 0,
            version=version.version,
            rule_id=record.rule_id,
            conditions=conditions_of(version),
            ends_at=version.ends_at,
        )
        for record, version in rows
    )


def count_waiting(session: Session) -> int:
    """Count the exclusions whose newest version waits for approval."""
    return session.exec(
        select(func.count())
        .select_from(ExclusionRecord)
        .join(
            ExclusionVersion,
            (col(ExclusionVersion.exclusion_id) == col(ExclusionRecord.id))
            & (col(ExclusionVersion.version) == col(ExclusionRecord.newest_version)),
        )
        .where(
            col(ExclusionRecord.ended_at).is_(None),
            ExclusionVersion.decision == Decision.WAITING,
        )
    ).one()


def get(session: Session, exclusion_id: int) -> ExclusionHistory | None:
    record = session.get(ExclusionRecord, exclusion_id)
    return _load_histories(session, [record])[0] if record else None


def list_all(session: Session) -> list[ExclusionHistory]:
    """Return all exclusions with their versions, newest exclusion first."""
    records = session.exec(select(ExclusionRecord).order_by(col(ExclusionRecord.id).desc()))
    return _load_histories(session, list(records))


def _load_histories(session: Session, records: Sequence[ExclusionRecord]) -> list[ExclusionHistory]:
    by_id: dict[int, list[ExclusionVersion]] = {record.id or 0: [] for record in records}
    query = select(ExclusionVersion).order_by(col(ExclusionVersion.version))
    if len(records) == 1:
        query = query.where(ExclusionVersion.exclusion_id == records[0].id)
    for version in session.exec(query):
        if version.exclusion_id in by_id:
            by_id[version.exclusion_id].append(version)
    return [ExclusionHistory(record, tuple(by_id[record.id or 0])) for record in records]


def mark_changed(session: Session) -> None:
    """Invalidate all `LiveExclusionCache`s. Call this in each transaction that changes an exclusion."""
    change_counters.bump(session, change_counters.EXCLUSIONS)


class LiveExclusionCache:
    """Cache of the live exclusions by rule id.

    The cache reloads the exclusions if the change counter EXCLUSIONS has changed since the last load.
    """

    def __init__(self) -> None:
        self._revision = -1
        self._exclusions: Mapping[str, Sequence[Exclusion]] = {}

    def by_rule(self, session: Session) -> Mapping[str, Sequence[Exclusion]]:
        revision = change_counters.current(session, change_counters.EXCLUSIONS)
        if revision != self._revision:
            self._exclusions = by_rule(list_live(session))
            self._revision = revision
        return self._exclusions


def by_rule(exclusions: Iterable[Exclusion]) -> dict[str, list[Exclusion]]:
    """Group exclusions by rule id."""
    groups: dict[str, list[Exclusion]] = {}
    for exclusion in exclusions:
        groups.setdefault(exclusion.rule_id, []).append(exclusion)
    return groups
