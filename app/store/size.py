"""How large the database is."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """Bytes on the disk, and those of them that hold something: SQLite keeps and reuses the others."""

    total_bytes: int
    used_bytes: int


def database_size(session: Session) -> DatabaseSize:
    if session.get_bind().dialect.name != "sqlite":
        total = int(_query_int(session, "SELECT pg_database_size(current_database())"))
        return DatabaseSize(total, total)
    page = _query_int(session, "PRAGMA page_size")
    pages = _query_int(session, "PRAGMA page_count")
    return DatabaseSize(page * pages, page * (pages - _query_int(session, "PRAGMA freelist_count")))


def _query_int(session: Session, query: str) -> int:
    return int(session.connection().execute(text(query)).scalar_one())
