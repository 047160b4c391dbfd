"""Counters that tell caches, in this process and in others, that what they hold is old."""

from sqlalchemy import bindparam, insert, select, update
from sqlmodel import Session

from app.store.database import REVISIONS
from app.store.tables import metadata

EXCLUSIONS = "exclusions"
ALERTS = "alerts"
RULES = "rules"
KEYS = "keys"


# Each batch of events asks and bumps: without the ORM in between that costs a third.
_TABLE = metadata.tables["revision"]
_CURRENT = select(_TABLE.c.value).where(_TABLE.c.name == bindparam("named"))
_BUMP = (
    update(_TABLE)
    .where(_TABLE.c.name == bindparam("named"))
    .values(value=_TABLE.c.value + 1)
    .returning(_TABLE.c.value)
)


def current(session: Session, name: str) -> int:
    return session.connection().execute(_CURRENT, {"named": name}).scalar() or 0


def bump(session: Session, name: str) -> None:
    """Increment a counter; commit listeners of the database get its new value after the commit."""
    connection = session.connection()
    value = connection.execute(_BUMP, {"named": name}).scalar()
    if value is None:
        value = 1
        connection.execute(insert(_TABLE), {"name": name, "value": value})
    session.info.setdefault(REVISIONS, {})[name] = value


def probe_write(session: Session) -> None:
    """A write that changes nothing anyone reads: it shows that the database takes writes."""
    bump(session, "ready")
