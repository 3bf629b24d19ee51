"""webhooks that answer slowly

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("is_slow", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    op.drop_column("webhooks", "is_slow")
