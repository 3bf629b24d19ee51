"""indexes for many

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_segments_waiting", table_name="segments")
    op.drop_index("ix_segments_leases", table_name="segments")
    op.drop_index("ix_segments_user_id_status", table_name="segments")
    op.create_index(
        "ix_segments_waiting",
        "segments",
        ["user_id", "created_at", "id"],
        postgresql_where=sa.text("status = 'PENDING'"),
    )
    op.create_index(
        "ix_segments_running",
        "segments",
        ["user_id", "extraction_id"],
        postgresql_where=sa.text("status = 'PROCESSING'"),
    )
    op.create_index(
        "ix_extractions_stored", "extractions", ["user_id", "video_id"], postgresql_include=["archive_bytes"]
    )
    op.create_index(
        "ix_videos_stored",
        "videos",
        ["user_id", "id"],
        postgresql_include=["size_bytes"],
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_videos_stored", table_name="videos")
    op.drop_index("ix_extractions_stored", table_name="extractions")
    op.drop_index("ix_segments_running", table_name="segments")
    op.drop_index("ix_segments_waiting", table_name="segments")
    op.create_index("ix_segments_user_id_status", "segments", ["user_id", "status"])
    op.create_index(
        "ix_segments_leases", "segments", ["lease_expires_at"], postgresql_where=sa.text("status = 'PROCESSING'")
    )
    op.create_index(
        "ix_segments_waiting", "segments", ["created_at", "id"], postgresql_where=sa.text("status = 'PENDING'")
    )
