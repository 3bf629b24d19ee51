"""retention

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("emails", sa.Column("video_id", sa.Uuid(), nullable=True))
    op.create_unique_constraint(op.f("uq_emails_video_id_kind"), "emails", ["video_id", "kind"])
    op.create_foreign_key(op.f("fk_emails_video_id"), "emails", "videos", ["video_id"], ["id"], ondelete="CASCADE")
    op.add_column("extractions", sa.Column("results_removed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_extractions_results_left",
        "extractions",
        ["completed_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('FAILED', 'CANCELLED') AND results_removed_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_extractions_results_left", table_name="extractions")
    op.drop_column("extractions", "results_removed_at")
    op.drop_constraint(op.f("fk_emails_video_id"), "emails", type_="foreignkey")
    op.drop_constraint(op.f("uq_emails_video_id_kind"), "emails", type_="unique")
    op.drop_column("emails", "video_id")
