"""the same again

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("extractions", sa.Column("engine", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_index("ix_videos_user_id_sha256", "videos", ["user_id", "sha256"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_videos_user_id_sha256", table_name="videos")
    op.drop_column("extractions", "engine")
