"""Where users want to be called, and what was said there."""

import datetime
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, new_id


class Webhook(Base):
    """An address of a user that is told when an extraction ends."""

    __tablename__ = "webhooks"
    # Times are the database's, and the row is shown as it is after a change.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 (SQLAlchemy declares it otherwise)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    url: Mapped[str]
    secret: Mapped[bytes]
    old_secret: Mapped[bytes | None]
    """Signs beside the present one until `old_secret_until`."""
    old_secret_until: Mapped[datetime.datetime | None]
    not_before: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    """When to call next, whatever is owed; whoever calls holds the webhook by moving this ahead."""
    failures: Mapped[int] = mapped_column(default=0)
    """Calls in a row that went wrong."""
    is_slow: Mapped[bool] = mapped_column(default=False)
    """The last answer took long, good as it was."""
    failing_since: Mapped[datetime.datetime | None]
    disabled_at: Mapped[datetime.datetime | None]
    disabled_because: Mapped[str | None]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())


class Delivery(Base):
    """One message to one webhook: written in the transaction that says what it tells, sent after."""

    __tablename__ = "webhook_deliveries"
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 (SQLAlchemy declares it otherwise)
    __table_args__ = (
        Index("ix_webhook_deliveries_owed", "not_before", postgresql_where=text("status = 'PENDING'")),
        Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    """Also the header webhook-id: a message sent twice is one to its receiver."""
    webhook_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    payload: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(default="PENDING")
    """PENDING, DELIVERED or FAILED."""
    token: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    response_status: Mapped[int | None]
    """What the receiver answered last; empty where nobody answered."""
    error: Mapped[str | None]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    attempted_at: Mapped[datetime.datetime | None]
    delivered_at: Mapped[datetime.datetime | None]
