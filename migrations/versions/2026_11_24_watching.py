"""watching

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("extractions", sa.Column("told_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_extractions_user_id_completed_at", "extractions", ["user_id", "completed_at"])


def downgrade() -> None:
    op.drop_index("ix_extractions_user_id_completed_at", table_name="extractions")
    op.drop_column("extractions", "told_at")
