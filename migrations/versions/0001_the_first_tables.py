"""Create the initial tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("key_hash", sa.String(), nullable=False),
        sa.Column("hint", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_key_key_hash")),
        sa.UniqueConstraint("name", name=op.f("uq_api_key_name")),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("entry_hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
        sa.UniqueConstraint("entry_hash", name=op.f("uq_audit_entry_entry_hash")),
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_entry_action"), ["action"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_entry_actor"), ["actor"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_entry_at"), ["at"], unique=False)

    op.create_table(
        "revision",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_revision")),
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_folded", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("name_folded", name=op.f("uq_user_account_name_folded")),
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rule_id", sa.String(), nullable=False),
        sa.Column("rule_name", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("priority_parts", sa.JSON(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("match_count", sa.Integer(), nullable=False),
        sa.Column("assignee_id", sa.Integer(), nullable=True),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.String(), nullable=True),
        sa.Column("previous_id", sa.Integer(), nullable=True),
        sa.Column("shown_key_id", sa.Integer(), nullable=False),
        sa.Column("shown_event_id", sa.String(), nullable=False),
        sa.Column("headline", sa.Text(), nullable=False),
        sa.Column("command_line", sa.Text(), nullable=False),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("container_id", sa.String(), nullable=True),
        sa.Column("container", sa.String(), nullable=True),
        sa.Column("image", sa.String(), nullable=True),
        sa.Column("namespace", sa.String(), nullable=True),
        sa.Column("pod", sa.String(), nullable=True),
        sa.Column("user_name", sa.String(), nullable=True),
        sa.Column("process_name", sa.String(), nullable=True),
        sa.Column("destination", sa.String(), nullable=True),
        sa.Column("ssh_role", sa.String(), nullable=True),
        sa.Column("chips", sa.JSON(), nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(status = 'closed') = (verdict IS NOT NULL)", name=op.f("ck_alert_verdict")
        ),
        sa.CheckConstraint(
            "status IN ('open', 'acknowledged', 'closed')", name=op.f("ck_alert_status")
        ),
        sa.ForeignKeyConstraint(
            ["assignee_id"], ["user_account.id"], name=op.f("fk_alert_assignee_id")
        ),
        sa.ForeignKeyConstraint(["previous_id"], ["alert.id"], name=op.f("fk_alert_previous_id")),
        sa.ForeignKeyConstraint(
            ["shown_key_id"], ["api_key.id"], name=op.f("fk_alert_shown_key_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alert_assignee_id"), ["assignee_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_alert_container_id"), ["container_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_alert_destination"), ["destination"], unique=False)
        batch_op.create_index("ix_alert_fingerprint", ["fingerprint", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_alert_host"), ["host"], unique=False)
        batch_op.create_index(batch_op.f("ix_alert_image"), ["image"], unique=False)
        batch_op.create_index("ix_alert_last_seen", ["last_seen", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_alert_namespace"), ["namespace"], unique=False)
        batch_op.create_index(batch_op.f("ix_alert_rule_id"), ["rule_id"], unique=False)
        batch_op.create_index(
            "ix_alert_status_last_seen", ["status", "last_seen", "id"], unique=False
        )
        batch_op.create_index(
            "ix_alert_status_match_count", ["status", "match_count", "id"], unique=False
        )
        batch_op.create_index(
            "ix_alert_status_priority", ["status", "priority", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_alert_user_name"), ["user_name"], unique=False)
        batch_op.create_index(
            "uq_alert_fingerprint_unclosed",
            ["fingerprint"],
            unique=True,
            sqlite_where=sa.text("status != 'closed'"),
            postgresql_where=sa.text("status != 'closed'"),
        )

    op.create_table(
        "key_minute",
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.Column("matched", sa.Integer(), nullable=False),
        sa.Column("suppressed", sa.Integer(), nullable=False),
        sa.Column("duplicates", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_key.id"], name=op.f("fk_key_minute_key_id")),
        sa.PrimaryKeyConstraint("key_id", "minute", name=op.f("pk_key_minute")),
    )
    op.create_table(
        "login_session",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("browser", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_login_session_user_id")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_login_session")),
    )
    with op.batch_alter_table("login_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_login_session_ends_at"), ["ends_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_login_session_user_id"), ["user_id"], unique=False)

    op.create_table(
        "one_time_link",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_one_time_link_user_id")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_one_time_link")),
    )
    with op.batch_alter_table("one_time_link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_one_time_link_user_id"), ["user_id"], unique=False)

    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_key.id"], name=op.f("fk_quarantine_key_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quarantine_key_id"), ["key_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_quarantine_received_at"), ["received_at"], unique=False
        )

    op.create_table(
        "alert_activity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alert.id"], name=op.f("fk_alert_activity_alert_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_activity")),
    )
    with op.batch_alter_table("alert_activity", schema=None) as batch_op:
        batch_op.create_index("ix_alert_activity_alert_id", ["alert_id", "id"], unique=False)

    op.create_table(
        "exclusion",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rule_id", sa.String(), nullable=False),
        sa.Column("from_alert_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("newest_version", sa.Integer(), nullable=False),
        sa.Column("live_version", sa.Integer(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["from_alert_id"], ["alert.id"], name=op.f("fk_exclusion_from_alert_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exclusion")),
    )
    with op.batch_alter_table("exclusion", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_exclusion_rule_id"), ["rule_id"], unique=False)

    op.create_table(
        "guide_tick",
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("step_key", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_guide_tick_alert_id")),
        sa.PrimaryKeyConstraint("alert_id", "part", "step_key", name=op.f("pk_guide_tick")),
    )
    op.create_table(
        "exclusion_version",
        sa.Column("exclusion_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("conditions", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "decision IN ('waiting', 'approved', 'declined')",
            name=op.f("ck_exclusion_version_decision"),
        ),
        sa.ForeignKeyConstraint(
            ["exclusion_id"], ["exclusion.id"], name=op.f("fk_exclusion_version_exclusion_id")
        ),
        sa.PrimaryKeyConstraint("exclusion_id", "version", name=op.f("pk_exclusion_version")),
    )
    op.create_table(
        "rule_match",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rule_id", sa.String(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("alert_id", sa.Integer(), nullable=True),
        sa.Column("exclusion_id", sa.Integer(), nullable=True),
        sa.Column("exclusion_version", sa.Integer(), nullable=True),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "(alert_id IS NULL) = (exclusion_id IS NOT NULL)", name=op.f("ck_rule_match_owner")
        ),
        sa.CheckConstraint(
            "(exclusion_id IS NULL) = (exclusion_version IS NULL)",
            name=op.f("ck_rule_match_version"),
        ),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_rule_match_alert_id")),
        sa.ForeignKeyConstraint(
            ["exclusion_id"], ["exclusion.id"], name=op.f("fk_rule_match_exclusion_id")
        ),
        sa.ForeignKeyConstraint(["key_id"], ["api_key.id"], name=op.f("fk_rule_match_key_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_match")),
        sa.UniqueConstraint(
            "key_id", "event_id", "rule_id", name=op.f("uq_rule_match_key_id_event_id_rule_id")
        ),
    )
    with op.batch_alter_table("rule_match", schema=None) as batch_op:
        batch_op.create_index("ix_rule_match_alert_id", ["alert_id", "id"], unique=False)
        batch_op.create_index("ix_rule_match_exclusion_id", ["exclusion_id", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_rule_match_received_at"), ["received_at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_rule_match_rule_id"), ["rule_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("rule_match", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rule_match_rule_id"))
        batch_op.drop_index(batch_op.f("ix_rule_match_received_at"))
        batch_op.drop_index("ix_rule_match_exclusion_id")
        batch_op.drop_index("ix_rule_match_alert_id")

    op.drop_table("rule_match")
    op.drop_table("exclusion_version")
    op.drop_table("guide_tick")
    with op.batch_alter_table("exclusion", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_exclusion_rule_id"))

    op.drop_table("exclusion")
    with op.batch_alter_table("alert_activity", schema=None) as batch_op:
        batch_op.drop_index("ix_alert_activity_alert_id")

    op.drop_table("alert_activity")
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_quarantine_received_at"))
        batch_op.drop_index(batch_op.f("ix_quarantine_key_id"))

    op.drop_table("quarantine")
    with op.batch_alter_table("one_time_link", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_one_time_link_user_id"))

    op.drop_table("one_time_link")
    with op.batch_alter_table("login_session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_login_session_user_id"))
        batch_op.drop_index(batch_op.f("ix_login_session_ends_at"))

    op.drop_table("login_session")
    op.drop_table("key_minute")
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_alert_fingerprint_unclosed",
            sqlite_where=sa.text("status != 'closed'"),
            postgresql_where=sa.text("status != 'closed'"),
        )
        batch_op.drop_index(batch_op.f("ix_alert_user_name"))
        batch_op.drop_index("ix_alert_status_priority")
        batch_op.drop_index("ix_alert_status_match_count")
        batch_op.drop_index("ix_alert_status_last_seen")
        batch_op.drop_index(batch_op.f("ix_alert_rule_id"))
        batch_op.drop_index(batch_op.f("ix_alert_namespace"))
        batch_op.drop_index("ix_alert_last_seen")
        batch_op.drop_index(batch_op.f("ix_alert_image"))
        batch_op.drop_index(batch_op.f("ix_alert_host"))
        batch_op.drop_index("ix_alert_fingerprint")
        batch_op.drop_index(batch_op.f("ix_alert_destination"))
        batch_op.drop_index(batch_op.f("ix_alert_container_id"))
        batch_op.drop_index(batch_op.f("ix_alert_assignee_id"))

    op.drop_table("alert")
    op.drop_table("user_account")
    op.drop_table("revision")
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_entry_at"))
        batch_op.drop_index(batch_op.f("ix_audit_entry_actor"))
        batch_op.drop_index(batch_op.f("ix_audit_entry_action"))

    op.drop_table("audit_entry")
    op.drop_table("api_key")
