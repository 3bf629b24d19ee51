"""unasked videos newest first

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

UNASKED = sa.text("asked_at IS NULL AND deleted_at IS NULL")


def upgrade() -> None:
    op.drop_index("ix_videos_unasked", table_name="videos")
    op.create_index("ix_videos_unasked", "videos", ["user_id", "created_at", "id"], postgresql_where=UNASKED)


def downgrade() -> None:
    op.drop_index("ix_videos_unasked", table_name="videos")
    op.create_index("ix_videos_unasked", "videos", ["user_id", "id"], postgresql_where=UNASKED)
