"""Create the table retention_run, and indexes for the selection of expired alerts"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "retention_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pruned", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_run")),
    )
    op.create_index("ix_alert_closed_at", "alert", ["closed_at", "id"])
    op.create_index("ix_alert_previous_id", "alert", ["previous_id"])


def downgrade() -> None:
    op.drop_index("ix_alert_previous_id", "alert")
    op.drop_index("ix_alert_closed_at", "alert")
    op.drop_table("retention_run")
