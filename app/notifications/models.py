"""Mail that is owed."""

import datetime
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, new_id


class Email(Base):
    """One mail of the outbox: written in the transaction that says what it tells, sent after."""

    __tablename__ = "emails"
    __table_args__ = (
        UniqueConstraint("extraction_id", "kind"),
        UniqueConstraint("video_id", "kind"),
        Index("ix_emails_owed", "not_before", postgresql_where=text("status = 'PENDING'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    """Empty where the recipient has no account yet."""
    extraction_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("extractions.id", ondelete="CASCADE"))
    """Empty where the mail is about a video."""
    video_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"))
    """Empty where the mail is about an extraction."""
    kind: Mapped[str]
    """`notifications.lifecycle.Kind`; also the header X-Fotograma-Kind."""
    recipient: Mapped[str]
    locale: Mapped[str]
    facts: Mapped[dict[str, Any]]
    """What the template tells."""
    message_id: Mapped[str] = mapped_column(unique=True)
    """Fixed from the start, so that a mail sent twice is one to the mail program."""
    status: Mapped[str] = mapped_column(default="PENDING")
    """PENDING, SENT or FAILED."""
    token: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    """When to try next; a sender holds the mail by moving this ahead."""
    error: Mapped[str | None]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime.datetime | None]
