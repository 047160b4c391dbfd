"""Change counters in the database. A cache reads a counter to detect that the cache is outdated.

A transaction that changes cached data increments a counter. A cache remembers the value of the counter. If
the counter later has a different value, the cache is outdated. The caches of all processes read the same
counters.
"""

from sqlalchemy import bindparam, insert, select, update
from sqlmodel import Session

from app.store.database import CHANGED_COUNTERS
from app.store.tables import metadata

EXCLUSIONS = "exclusions"
ALERTS = "alerts"
RULES = "rules"
KEYS = "keys"
_READINESS = "ready"


# Every batch of events reads and increments counters. The statements use SQLAlchemy Core, because the same
# statements take a third longer with the ORM.
_TABLE = metadata.tables["revision"]
_CURRENT = select(_TABLE.c.value).where(_TABLE.c.name == bindparam("counter"))
_BUMP = (
    update(_TABLE)
    .where(_TABLE.c.name == bindparam("counter"))
    .values(value=_TABLE.c.value + 1)
    .returning(_TABLE.c.value)
)


def current(session: Session, name: str) -> int:
    """Return the counter's value, or 0 if the counter was never incremented."""
    return session.connection().execute(_CURRENT, {"counter": name}).scalar() or 0


def bump(session: Session, name: str) -> None:
    """Increment a counter. After the commit, the listeners of `Database.on_commit` get the new value."""
    connection = session.connection()
    value = connection.execute(_BUMP, {"counter": name}).scalar()
    if value is None:
        value = 1
        connection.execute(insert(_TABLE), {"name": name, "value": value})
    session.info.setdefault(CHANGED_COUNTERS, {})[name] = value


def probe_write(session: Session) -> None:
    """Check that the database accepts writes, by incrementing a counter that no cache reads."""
    bump(session, _READINESS)
