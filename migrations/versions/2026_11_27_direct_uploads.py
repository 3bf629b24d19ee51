"""direct uploads

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("resumable_uploads", sa.Column("landing_key", sa.Text(), nullable=True))
    op.add_column("resumable_uploads", sa.Column("landing_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("resumable_uploads", sa.Column("session_url", sa.Text(), nullable=True))
    op.add_column("resumable_uploads", sa.Column("sha256", sa.Text(), nullable=True))
    op.add_column("upload_parts", sa.Column("etag", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("upload_parts", "etag")
    op.drop_column("resumable_uploads", "sha256")
    op.drop_column("resumable_uploads", "session_url")
    op.drop_column("resumable_uploads", "landing_until")
    op.drop_column("resumable_uploads", "landing_key")
