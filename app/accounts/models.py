"""Who may sign in."""

import datetime
import uuid
from typing import Any, Literal

from sqlalchemy import ARRAY, ForeignKey, Index, Text, UniqueConstraint, func, text, true
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, new_id

Role = Literal["user", "admin"]
MailedKind = Literal["reset", "confirm", "invitation"]


class User(Base):
    """A person. E-mail addresses are one whatever their case."""

    __tablename__ = "users"
    __table_args__ = (Index("ix_users_email_lower", text("lower(email)"), unique=True),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str]
    password_hash: Mapped[str | None]
    """None: signs in by a provider only."""
    locale: Mapped[str] = mapped_column(default="en")
    time_zone: Mapped[str] = mapped_column(default="UTC", server_default="UTC")
    """By its IANA name."""
    mail: Mapped[bool] = mapped_column(default=True, server_default=true())
    """Whether the outcome of extractions is mailed; what concerns the account always is."""
    default_plan: Mapped[dict[str, Any] | None]
    """For uploads that say nothing of frames."""
    role: Mapped[Role] = mapped_column(Text, default="user", server_default="user")
    email_confirmed_at: Mapped[datetime.datetime | None]
    quotas: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """What an admin allows this user other than the settings do, by the name of the quota."""
    token_version: Mapped[int] = mapped_column(default=0)
    """Raised to end every session at once: tokens carry the version they were made under."""
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime.datetime | None]
    """An admin has shut the user out; what the user has stays."""
    uploads_day: Mapped[datetime.date | None]
    uploads_today: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many uploads were begun on `uploads_day`."""

    @property
    def uploads_since_midnight(self) -> int:
        """How many uploads the user has begun today, by UTC."""
        return self.uploads_today if self.uploads_day == datetime.datetime.now(datetime.UTC).date() else 0

    @property
    def email_confirmed(self) -> bool:
        """Whether the address was shown to be the user's."""
        return self.email_confirmed_at is not None


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


class BrowserSession(Base):
    """What the cookie of a browser stands for; its end moves on while it is used."""

    __tablename__ = "browser_sessions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime.datetime]


class ApiKey(Base):
    """What a program shows instead of signing in; only its hash is kept."""

    __tablename__ = "api_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    prefix: Mapped[str]
    """Its first characters, by which its owner knows it again."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    key_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime.datetime | None]
    expires_at: Mapped[datetime.datetime | None]


class MailedToken(Base):
    """What a link in a mail stands for, until it is used."""

    __tablename__ = "mailed_tokens"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[MailedKind] = mapped_column(Text)
    email: Mapped[str]
    """Where it was sent: all that it proves is that this mail is read."""
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    """Empty for an invitation."""
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime.datetime]


class Identity(Base):
    """Who a user is to a provider that signs the user in."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("provider", "subject"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    provider: Mapped[str]
    """The issuer, so that another of the same name is another."""
    subject: Mapped[str]
    """The provider's own name for the user, which never changes, as an address may."""
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
