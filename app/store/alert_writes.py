"""Queries for the alerts of a batch of matches.

Each function reads or writes many alerts with few SQL statements, instead of one statement for each alert.
"""

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
    """An open or acknowledged alert, with only the columns that are needed to add matches to it."""

    id: int
    priority: int
    priority_parts: Sequence[Mapping[str, Any]]
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class ClosedAlert:
    """A closed alert, with the columns that are needed to open a new alert with the same fingerprint."""

    id: int
    verdict: str | None


# The queries use SQLAlchemy Core, because loading whole alerts as ORM objects takes longer than
# evaluating a thousand events.
_TABLE = metadata.tables["alert"]
_HAS_FINGERPRINT = _TABLE.c.fingerprint.in_(bindparam("fingerprints", expanding=True))
# The condition on `status` is literal text, because SQLite uses the partial index only if the query
# contains exactly the condition of the index.
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
    .where(_TABLE.c.id == bindparam("alert_id"))
    .values(
        match_count=_TABLE.c.match_count + bindparam("added_matches"),
        last_seen=bindparam("received_at"),
    )
)


def open_alerts(session: Session, fingerprints: Iterable[str]) -> dict[str, OpenAlert]:
    """Return the open or acknowledged alert of each fingerprint.

    The result has no entry for a fingerprint that has no open or acknowledged alert.
    """
    return {
        row.fingerprint: OpenAlert(row.id, row.priority, row.priority_parts, row.last_seen)
        for row in _rows_by_fingerprint(session, _OPEN_ALERTS, fingerprints)
    }


def last_closed_alerts(session: Session, fingerprints: Iterable[str]) -> dict[str, ClosedAlert]:
    """Return the newest closed alert of each fingerprint.

    The result has no entry for a fingerprint that has no closed alert.
    """
    return {
        row.fingerprint: ClosedAlert(row.id, row.verdict)
        for row in _rows_by_fingerprint(session, _LAST_CLOSED, fingerprints)
    }


def _rows_by_fingerprint(
    session: Session, query: Select[Any], fingerprints: Iterable[str]
) -> Iterator[Row[Any]]:
    for chunk in chunks(sorted(set(fingerprints))):
        yield from session.connection().execute(query, {"fingerprints": chunk})


def insert_alerts(session: Session, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert one alert for each row and return the new ids in the order of the rows.

    Each row has every column except `id`.
    """
    if not rows:
        return []
    statement = insert(_TABLE).returning(_TABLE.c.id, sort_by_parameter_order=True)
    return list(session.connection().execute(statement, list(rows)).scalars())


def add_match_counts(session: Session, added: Sequence[tuple[int, int, datetime]]) -> None:
    """Increase the match counts of alerts and set their `last_seen`.

    Each tuple is (alert id, number of added matches, new `last_seen`).
    """
    if added:
        rows = [
            {"alert_id": alert_id, "added_matches": matches, "received_at": received_at}
            for alert_id, matches, received_at in added
        ]
        session.connection().execute(_ADD_MATCH_COUNT, rows)


def update_summaries(session: Session, summaries: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Update columns of alerts. Each tuple is (alert id, new values by column name).

    All tuples must have the same column names.
    """
    if summaries:
        names = list(summaries[0][1])
        statement = (
            update(_TABLE)
            .where(_TABLE.c.id == bindparam("alert_id"))
            .values({name: bindparam(f"new_{name}", type_=_TABLE.c[name].type) for name in names})
        )
        rows = [
            {"alert_id": alert_id} | {f"new_{name}": value for name, value in columns.items()}
            for alert_id, columns in summaries
        ]
        session.connection().execute(statement, rows)


def insert_activities(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert one activity entry for each row. Each row has every column except `id`."""
    if rows:
        session.connection().execute(insert(metadata.tables["alert_activity"]), list(rows))
