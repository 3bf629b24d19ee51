"""progress

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segments", sa.Column("frames_expected", sa.Integer(), nullable=True))
    op.add_column("segments", sa.Column("started_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("segments", sa.Column("progressed_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("segments", "progressed_at")
    op.drop_column("segments", "started_at")
    op.drop_column("segments", "frames_expected")
