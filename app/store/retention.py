"""What is too old, in pieces small enough for one short transaction each; `pruning` removes them.

Open and acknowledged alerts stay with all they have, and so does the closed alert that one of them names
as seen before. Pieces are looked for by readers and removed by a writer, which checks again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.domain.alert import Status
from app.store import exclusions
from app.store.exclusions import State
from app.store.size import size
from app.store.tables import (
    Alert,
    ExclusionRecord,
    Key,
    KeyMinute,
    Match,
    Quarantine,
)

# Large events are many pages of the database each, so that their number says little.
PIECE_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What was closed or received before these goes; `most_bytes` is how much may stay, None for all."""

    closed: datetime
    suppressed: datetime
    quarantined: datetime
    minutes: datetime
    most_bytes: int | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows went. `matches` are those of alerts, `suppressed` those of exclusions."""

    alerts: int = 0
    matches: int = 0
    suppressed: int = 0
    quarantined: int = 0
    minutes: int = 0

    def __add__(self, more: "Pruned") -> "Pruned":
        return Pruned(*(getattr(self, f.name) + getattr(more, f.name) for f in fields(Pruned)))

    @property
    def rows(self) -> int:
        return sum(asdict(self).values())

    def text(self) -> str:
        """Such as “2 closed alerts with 30 matches, 5 events in quarantine”."""
        told = [
            f"{self.alerts:,} closed alerts with {self.matches:,} matches"
            if self.alerts or self.matches
            else "",
            f"{self.suppressed:,} suppressed matches" if self.suppressed else "",
            f"{self.quarantined:,} events in quarantine" if self.quarantined else "",
            f"{self.minutes:,} minutes of traffic figures" if self.minutes else "",
        ]
        return ", ".join(filter(None, told)) or "nothing"


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that may go in one transaction. `alerts` go with all they have; `thinned` is a closed alert
    with too many matches for that, which loses `matches` now and goes later.
    """

    closed_before: datetime
    alerts: tuple[int, ...] = ()
    thinned: int | None = None
    matches: tuple[int, ...] = ()
    suppressed: tuple[int, ...] = ()
    quarantined: tuple[int, ...] = ()
    minutes: tuple[tuple[int, datetime], ...] = ()


def next_piece(session: Session, bounds: Bounds, at: datetime, rows: int) -> Piece | None:
    """About `rows` rows that may go now, None when there are no more; by age first, then by size."""
    ways: list[Callable[[], Piece | None]] = [
        lambda: _quarantined(session, bounds.quarantined, rows),
        lambda: _minutes(session, bounds.minutes, rows),
        lambda: _suppressed(session, _with_matches(session), bounds.suppressed, rows),
        lambda: _closed(session, bounds.closed, rows),
    ]
    if too_large(session, bounds):
        ways += [
            lambda: _quarantined(session, at, rows),
            lambda: _suppressed(session, _no_longer_live(session, at), at, rows),
            lambda: _closed(session, at, rows),
        ]
    return next((piece for way in ways if (piece := way()) is not None), None)


def too_large(session: Session, bounds: Bounds) -> bool:
    return bounds.most_bytes is not None and size(session).used > bounds.most_bytes


def _fitting(found: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """The first ids of (id, bytes) that fit into a piece, at least one of them."""
    ids: list[int] = []
    total = 0
    for row_id, length in found:
        total += length
        if ids and total > PIECE_BYTES:
            break
        ids.append(row_id)
    return tuple(ids)


def _quarantined(session: Session, before: datetime, rows: int) -> Piece | None:
    found = session.exec(
        select(Quarantine.id, func.length(Quarantine.event))
        .where(Quarantine.received_at < before)
        .order_by(col(Quarantine.received_at))
        .limit(rows)
    )
    ids = _fitting((row_id or 0, length) for row_id, length in found)
    return Piece(before, quarantined=ids) if ids else None


def _minutes(session: Session, before: datetime, rows: int) -> Piece | None:
    """Of each key all but the newest, which says when the key was last seen."""
    for key_id in session.exec(select(Key.id)).all():
        newest = select(func.max(KeyMinute.minute)).where(KeyMinute.key_id == key_id)
        found = session.exec(
            select(KeyMinute.minute)
            .where(
                KeyMinute.key_id == key_id,
                KeyMinute.minute < before,
                col(KeyMinute.minute) < newest.scalar_subquery(),
            )
            .order_by(col(KeyMinute.minute))
            .limit(rows)
        ).all()
        if found and key_id is not None:
            return Piece(before, minutes=tuple((key_id, minute) for minute in found))
    return None


def _with_matches(session: Session) -> list[int]:
    return [found for found in session.exec(select(ExclusionRecord.id)) if found is not None]


def _no_longer_live(session: Session, at: datetime) -> list[int]:
    return [
        whole.record.id
        for whole in exclusions.everything(session)
        if whole.record.id is not None and whole.state(at) is not State.LIVE
    ]


def _suppressed(session: Session, of: Sequence[int], before: datetime, rows: int) -> Piece | None:
    for exclusion_id in of:
        # By id, which an index has for each exclusion, and which follows the receipt.
        found = session.exec(
            select(Match.id, func.length(Match.event), Match.received_at)
            .where(Match.exclusion_id == exclusion_id)
            .order_by(col(Match.id))
            .limit(rows)
        )
        old = ((row_id or 0, length) for row_id, length, received in found if received < before)
        if ids := _fitting(old):
            return Piece(before, suppressed=ids)
    return None


def may_go(before: datetime) -> ColumnElement[bool]:
    """Closed before then, and not what an alert that is still worked on names as seen before."""
    after = aliased(Alert)
    leant_on = (
        select(after.id)
        .where(after.previous_id == Alert.id, col(after.status) != Status.CLOSED)
        .exists()
    )
    return and_(col(Alert.status) == Status.CLOSED, col(Alert.closed_at) < before, ~leant_on)


def _closed(session: Session, before: datetime, rows: int) -> Piece | None:
    candidates = session.exec(
        select(Alert)
        .where(may_go(before))
        .order_by(col(Alert.closed_at), col(Alert.id))
        .limit(max(1, rows // 4))  # an alert has two dozen index entries where a match has six
    )
    alerts: list[int] = []
    taken = weight = 0
    for alert in candidates:
        lengths = session.exec(
            select(Match.id, func.length(Match.event), Match.event_id, Match.key_id)
            .where(Match.alert_id == alert.id)
            .order_by(col(Match.id))
            .limit(rows + 1)
        ).all()
        total = sum(length for _, length, _, _ in lengths)
        if not alerts and (len(lengths) > rows or (total > PIECE_BYTES and len(lengths) > 1)):
            shown = (alert.shown_event_id, alert.shown_key_id)
            old = ((row or 0, n) for row, n, *event in lengths if tuple(event) != shown)
            return Piece(before, thinned=alert.id, matches=_fitting(old))
        taken, weight = taken + len(lengths), weight + total
        if alerts and (taken > rows or weight > PIECE_BYTES):
            break
        alerts.append(alert.id or 0)
    return Piece(before, alerts=tuple(alerts)) if alerts else None


def outlook(session: Session, bounds: Bounds) -> Pruned:
    """What would go by age."""
    alerts, matches = session.exec(
        select(func.count(), func.coalesce(func.sum(Alert.match_count), 0))
        .select_from(Alert)
        .where(may_go(bounds.closed))
    ).one()
    return Pruned(
        alerts=alerts,
        matches=int(matches),
        suppressed=_count(
            session,
            select(func.count())
            .select_from(Match)
            .where(col(Match.exclusion_id).is_not(None), Match.received_at < bounds.suppressed),
        ),
        quarantined=_count(
            session,
            select(func.count())
            .select_from(Quarantine)
            .where(Quarantine.received_at < bounds.quarantined),
        ),
        minutes=_old_minutes(session, bounds.minutes),
    )


def _count(session: Session, query: SelectOfScalar[int]) -> int:
    return session.exec(query).one()


def _old_minutes(session: Session, before: datetime) -> int:
    newest = (
        select(KeyMinute.key_id, func.max(KeyMinute.minute).label("minute"))
        .group_by(col(KeyMinute.key_id))
        .subquery()
    )
    return session.exec(
        select(func.count())
        .select_from(KeyMinute)
        .join(newest, newest.c.key_id == KeyMinute.key_id)
        .where(KeyMinute.minute < before, col(KeyMinute.minute) < newest.c.minute)
    ).one()
