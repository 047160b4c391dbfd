"""What a batch of matches asks of alerts and does to them: many at once, in few statements."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, insert, text, update
from sqlalchemy import select as sql_select
from sqlmodel import Session

from app.domain.alert import Status
from app.store.database import chunks
from app.store.tables import metadata


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """As much of an unclosed alert as a further match of it needs to know."""

    id: int
    priority: int
    priority_parts: Sequence[Mapping[str, Any]]
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class ClosedAlert:
    """As much of a closed alert as its next episode needs to know."""

    id: int
    verdict: str | None


# Core: loading whole alerts took longer than deciding a thousand events.
_TABLE = metadata.tables["alert"]
_HAS_FINGERPRINT = _TABLE.c.fingerprint.in_(bindparam("prints", expanding=True))
# Written out, since the index of unclosed alerts is only taken for these very words.
_OPEN_ALERTS = sql_select(
    _TABLE.c.fingerprint,
    _TABLE.c.id,
    _TABLE.c.priority,
    _TABLE.c.priority_parts,
    _TABLE.c.last_seen,
).where(_HAS_FINGERPRINT, text("status != 'closed'"))
_LAST_CLOSED = sql_select(_TABLE.c.fingerprint, _TABLE.c.id, _TABLE.c.verdict).where(
    _TABLE.c.id.in_(
        sql_select(func.max(_TABLE.c.id))
        .where(_HAS_FINGERPRINT, _TABLE.c.status == str(Status.CLOSED))
        .group_by(_TABLE.c.fingerprint)
    )
)
_ADD_MATCH_COUNT = (
    update(_TABLE)
    .where(_TABLE.c.id == bindparam("of_alert"))
    .values(match_count=_TABLE.c.match_count + bindparam("more"), last_seen=bindparam("seen"))
)


def open_alerts(session: Session, fingerprints: Iterable[str]) -> dict[str, OpenAlert]:
    """The unclosed alert of each fingerprint that has one."""
    return {
        row.fingerprint: OpenAlert(row.id, row.priority, row.priority_parts, row.last_seen)
        for row in _rows_by_fingerprint(session, _OPEN_ALERTS, fingerprints)
    }


def last_closed_alerts(session: Session, fingerprints: Iterable[str]) -> dict[str, ClosedAlert]:
    """The newest closed alert of each fingerprint that has one."""
    return {
        row.fingerprint: ClosedAlert(row.id, row.verdict)
        for row in _rows_by_fingerprint(session, _LAST_CLOSED, fingerprints)
    }


def _rows_by_fingerprint(
    session: Session, query: Select[Any], fingerprints: Iterable[str]
) -> Iterator[Row[Any]]:
    for some in chunks(sorted(set(fingerprints))):
        yield from session.connection().execute(query, {"prints": some})


def insert_alerts(session: Session, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """New alerts from rows with every column but `id`; their ids, in the same order."""
    if not rows:
        return []
    made = insert(_TABLE).returning(_TABLE.c.id, sort_by_parameter_order=True)
    return list(session.connection().execute(made, list(rows)).scalars())


def add_match_counts(session: Session, added: Sequence[tuple[int, int, datetime]]) -> None:
    """Alert id, how many matches more, and when the newest of them was received."""
    if added:
        rows = [{"of_alert": id, "more": more, "seen": seen} for id, more, seen in added]
        session.connection().execute(_ADD_MATCH_COUNT, rows)


def update_summaries(session: Session, summaries: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Alert id, and what its list shall show of another match; all with the same columns."""
    if summaries:
        names = list(summaries[0][1])
        change = (
            update(_TABLE)
            .where(_TABLE.c.id == bindparam("of_alert"))
            .values({name: bindparam(f"new_{name}", type_=_TABLE.c[name].type) for name in names})
        )
        rows = [
            {"of_alert": id} | {f"new_{name}": value for name, value in columns.items()}
            for id, columns in summaries
        ]
        session.connection().execute(change, rows)


def insert_activities(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows with every column but `id`."""
    if rows:
        session.connection().execute(insert(metadata.tables["alert_activity"]), list(rows))
