"""Alembic environment. It uses the database connection that `app.store.schema` provides."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection
from sqlmodel.sql.sqltypes import AutoString

from app.store import tables
from app.store.types import UtcDateTime

connection: Connection = context.config.attributes["connection"]


def render_type(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Render custom column types as SQLAlchemy types, so that migrations do not import the package `app`."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, AutoString):
        return "sa.String()"
    return False


# SQLite supports few ALTER TABLE operations. Batch mode changes a table by copying it to a new table.
context.configure(
    connection=connection,
    target_metadata=tables.metadata,
    render_as_batch=True,
    render_item=render_type,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
