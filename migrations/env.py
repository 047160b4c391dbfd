"""How Alembic reaches the database: through the connection that the store hands it."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection
from sqlmodel.sql.sqltypes import AutoString

from app.store import tables
from app.store.types import UtcDateTime

connection: Connection = context.config.attributes["connection"]


def plainly(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """A migration says what the database had, whatever becomes of our own types later."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, AutoString):
        return "sa.String()"
    return False


# SQLite can alter little in place; batch mode copies the table instead, there and elsewhere alike.
context.configure(
    connection=connection,
    target_metadata=tables.metadata,
    render_as_batch=True,
    render_item=plainly,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
