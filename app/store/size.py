"""How large the database is."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes on the disk, and those of them that hold something: SQLite keeps and reuses the others."""

    total: int
    used: int


def size(session: Session) -> Size:
    if session.get_bind().dialect.name != "sqlite":
        total = int(_number(session, "SELECT pg_database_size(current_database())"))
        return Size(total, total)
    page = _number(session, "PRAGMA page_size")
    pages = _number(session, "PRAGMA page_count")
    return Size(page * pages, page * (pages - _number(session, "PRAGMA freelist_count")))


def _number(session: Session, query: str) -> int:
    return int(session.connection().execute(text(query)).scalar_one())
