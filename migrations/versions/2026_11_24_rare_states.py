"""rare states

Revision ID: 0012a
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012a"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_videos_not_probed",
        "videos",
        ["user_id", "id"],
        postgresql_where=sa.text("probed_at IS NULL OR error_code IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_videos_not_probed", table_name="videos")
