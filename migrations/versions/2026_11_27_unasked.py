"""unasked videos

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("videos", sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE videos SET asked_at = created_at WHERE EXISTS (SELECT FROM extractions WHERE video_id = videos.id)"
    )
    op.create_index(
        "ix_videos_unasked",
        "videos",
        ["user_id", "id"],
        postgresql_where=sa.text("asked_at IS NULL AND deleted_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_videos_unasked", table_name="videos")
    op.drop_column("videos", "asked_at")
