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
class Standing:
    """As much of an unclosed alert as a further match of it needs to know."""

    id: int
    priority: int
    priority_parts: Sequence[Mapping[str, Any]]
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Closed:
    """As much of a closed alert as its next episode needs to know."""

    id: int
    verdict: str | None


# Core: loading whole alerts took longer than deciding a thousand events.
_TABLE = metadata.tables["alert"]
_OF_PRINTS = _TABLE.c.fingerprint.in_(bindparam("prints", expanding=True))
# Written out, since the index of unclosed alerts is only taken for these very words.
_STANDING = sql_select(
    _TABLE.c.fingerprint,
    _TABLE.c.id,
    _TABLE.c.priority,
    _TABLE.c.priority_parts,
    _TABLE.c.last_seen,
).where(_OF_PRINTS, text("status != 'closed'"))
_LAST_CLOSED = sql_select(_TABLE.c.fingerprint, _TABLE.c.id, _TABLE.c.verdict).where(
    _TABLE.c.id.in_(
        sql_select(func.max(_TABLE.c.id))
        .where(_OF_PRINTS, _TABLE.c.status == str(Status.CLOSED))
        .group_by(_TABLE.c.fingerprint)
    )
)
_ADD_MATCHES = (
    update(_TABLE)
    .where(_TABLE.c.id == bindparam("of_alert"))
    .values(match_count=_TABLE.c.match_count + bindparam("more"), last_seen=bindparam("seen"))
)


def standing(session: Session, fingerprints: Iterable[str]) -> dict[str, Standing]:
    """The unclosed alert of each fingerprint that has one."""
    return {
        row.fingerprint: Standing(row.id, row.priority, row.priority_parts, row.last_seen)
        for row in _rows_of_prints(session, _STANDING, fingerprints)
    }


def last_closed(session: Session, fingerprints: Iterable[str]) -> dict[str, Closed]:
    """The newest closed alert of each fingerprint that has one."""
    return {
        row.fingerprint: Closed(row.id, row.verdict)
        for row in _rows_of_prints(session, _LAST_CLOSED, fingerprints)
    }


def _rows_of_prints(
    session: Session, query: Select[Any], fingerprints: Iterable[str]
) -> Iterator[Row[Any]]:
    for some in chunks(sorted(set(fingerprints))):
        yield from session.connection().execute(query, {"prints": some})


def open_many(session: Session, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """New alerts from rows with every column but `id`; their ids, in the same order."""
    if not rows:
        return []
    made = insert(_TABLE).returning(_TABLE.c.id, sort_by_parameter_order=True)
    return list(session.connection().execute(made, list(rows)).scalars())


def add_matches(session: Session, added: Sequence[tuple[int, int, datetime]]) -> None:
    """Alert id, how many matches more, and when the newest of them was received."""
    if added:
        rows = [{"of_alert": id, "more": more, "seen": seen} for id, more, seen in added]
        session.connection().execute(_ADD_MATCHES, rows)


def tell(session: Session, told: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Alert id, and what its list shall show of another match; all with the same columns."""
    if told:
        names = list(told[0][1])
        change = (
            update(_TABLE)
            .where(_TABLE.c.id == bindparam("of_alert"))
            .values({name: bindparam(f"new_{name}", type_=_TABLE.c[name].type) for name in names})
        )
        rows = [
            {"of_alert": id} | {f"new_{name}": value for name, value in shown.items()}
            for id, shown in told
        ]
        session.connection().execute(change, rows)


def add_activities(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows with every column but `id`."""
    if rows:
        session.connection().execute(insert(metadata.tables["alert_activity"]), list(rows))
