"""Store the same quarantined bytes of a key once, and count traffic in 64 bits"""

from datetime import datetime
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COUNTERS = ("received", "matched", "suppressed", "duplicates", "rejected", "bytes")
ROWS_PER_BATCH = 200

_QUARANTINE = sa.table(
    "quarantine",
    sa.column("id", sa.Integer()),
    sa.column("key_id", sa.Integer()),
    sa.column("event", sa.LargeBinary()),
    sa.column("received_at", sa.DateTime(timezone=True)),
    sa.column("digest", sa.LargeBinary()),
    sa.column("count", sa.BigInteger()),
    sa.column("last_received_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    with op.batch_alter_table("quarantine") as table:
        table.add_column(sa.Column("digest", sa.LargeBinary(), nullable=True))
        table.add_column(sa.Column("count", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("last_received_at", sa.DateTime(timezone=True), nullable=True))
    _merge_repetitions()
    with op.batch_alter_table("quarantine") as table:
        table.alter_column("digest", existing_type=sa.LargeBinary(), nullable=False)
        table.alter_column("count", existing_type=sa.BigInteger(), nullable=False)
        table.alter_column(
            "last_received_at", existing_type=sa.DateTime(timezone=True), nullable=False
        )
        table.drop_index("ix_quarantine_received_at")
        table.create_index("ix_quarantine_last_received_at", ["last_received_at"])
        table.create_unique_constraint("uq_quarantine_key_id_digest", ["key_id", "digest"])
    _set_counter_type(sa.Integer(), sa.BigInteger())


def _merge_repetitions() -> None:
    """Set the digests, and merge rows of a key with the same bytes into the first of them."""
    connection = op.get_bind()
    # (key id, digest) → the id of the first row, the number of rows and the newest time of receipt.
    merged: dict[tuple[int, bytes], tuple[int, int, datetime]] = {}
    last_id = 0
    while rows := connection.execute(
        sa.select(
            _QUARANTINE.c.id,
            _QUARANTINE.c.key_id,
            _QUARANTINE.c.received_at,
        )
        .where(_QUARANTINE.c.id > last_id)
        .order_by(_QUARANTINE.c.id)
        .limit(ROWS_PER_BATCH)
    ).all():
        for last_id, key_id, received_at in rows:
            # An event may have many megabytes, so only one is in memory.
            query = sa.select(_QUARANTINE.c.event).where(_QUARANTINE.c.id == last_id)
            digest = sha256(connection.execute(query).scalar_one()).digest()
            first_id, count, newest = merged.get((key_id, digest), (last_id, 0, received_at))
            merged[key_id, digest] = first_id, count + 1, max(newest, received_at)
            if first_id != last_id:
                connection.execute(sa.delete(_QUARANTINE).where(_QUARANTINE.c.id == last_id))
    for (_, digest), (first_id, count, newest) in merged.items():
        connection.execute(
            sa.update(_QUARANTINE)
            .where(_QUARANTINE.c.id == first_id)
            .values(digest=digest, count=count, last_received_at=newest)
        )


def _set_counter_type(old: sa.types.TypeEngine[int], new: sa.types.TypeEngine[int]) -> None:
    with op.batch_alter_table("key_minute") as table:
        for name in COUNTERS:
            table.alter_column(name, existing_type=old, type_=new, existing_nullable=False)


def downgrade() -> None:
    _set_counter_type(sa.BigInteger(), sa.Integer())
    with op.batch_alter_table("quarantine") as table:
        table.drop_constraint("uq_quarantine_key_id_digest", type_="unique")
        table.drop_index("ix_quarantine_last_received_at")
        table.create_index("ix_quarantine_received_at", ["received_at"])
        table.drop_column("last_received_at")
        table.drop_column("count")
        table.drop_column("digest")
