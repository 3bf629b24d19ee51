"""Who may sign in."""

import datetime
import uuid

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, new_id


class User(Base):
    """A person. E-mail addresses are one whatever their case."""

    __tablename__ = "users"
    __table_args__ = (Index("ix_users_email_lower", text("lower(email)"), unique=True),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str]
    password_hash: Mapped[str]
    locale: Mapped[str] = mapped_column(default="en")
    token_version: Mapped[int] = mapped_column(default=0)
    """Raised to end every session at once: tokens carry the version they were made under."""
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())


class RefreshToken(Base):
    """One use each: using it makes the next of its family; using it twice ends the family."""

    __tablename__ = "refresh_tokens"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    family: Mapped[uuid.UUID] = mapped_column(index=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime.datetime]
    used_at: Mapped[datetime.datetime | None]
