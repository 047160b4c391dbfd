"""Counters that tell caches, in this process and in others, that what they hold is old."""

from sqlmodel import Session

from app.store.tables import Revision

EXCLUSIONS = "exclusions"
ALERTS = "alerts"
RULES = "rules"


def current(session: Session, name: str) -> int:
    row = session.get(Revision, name)
    return row.value if row else 0


def bump(session: Session, name: str) -> None:
    row = session.get(Revision, name)
    if row is None:
        session.add(Revision(name=name, value=1))
    else:
        row.value += 1
        session.add(row)


def touch(session: Session) -> None:
    """A write that changes nothing anyone reads: it shows that the database takes writes."""
    bump(session, "ready")
