"""account choices and browser sessions

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

JSON = postgresql.JSONB(astext_type=sa.Text())
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("users", sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False))
    op.add_column("users", sa.Column("mail", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("users", sa.Column("default_plan", JSON, nullable=True))
    op.add_column("users", sa.Column("role", sa.Text(), server_default="user", nullable=False))
    op.add_column("users", sa.Column("email_confirmed_at", MOMENT, nullable=True))
    op.add_column("users", sa.Column("quotas", JSON, server_default="{}", nullable=False))
    op.create_table(
        "browser_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_browser_sessions_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_browser_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_browser_sessions_token_hash")),
    )
    op.create_index(op.f("ix_browser_sessions_user_id"), "browser_sessions", ["user_id"])


def downgrade() -> None:
    op.drop_table("browser_sessions")
    for column in ("quotas", "email_confirmed_at", "role", "default_plan", "mail", "time_zone"):
        op.drop_column("users", column)
