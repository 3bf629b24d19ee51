"""What was uploaded."""

import datetime
import uuid
from typing import Any

from sqlalchemy import BigInteger, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, new_id


class Upload(Base):
    """Bytes on their way: the row is there before the first byte, so that no object is without one."""

    __tablename__ = "uploads"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    """Becomes the video's id."""
    user_id: Mapped[uuid.UUID] = mapped_column(index=True)
    """No foreign key: the row must outlive its user until the object is gone."""
    object_key: Mapped[str]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    abandoned_at: Mapped[datetime.datetime]
    """When nobody can still be sending, and the object may be removed."""


class Video(Base):
    """An uploaded file and what the probe says of it."""

    __tablename__ = "videos"
    __table_args__ = (
        Index("ix_videos_user_id_created_at", "user_id", "created_at", "id"),
        Index("ix_videos_expires_at", "expires_at"),
        Index("ix_videos_tombstones", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID]
    """No foreign key: the row must outlive its user until the objects are gone."""
    filename: Mapped[str]
    """As the user calls it; never a path of ours."""
    object_key: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    media: Mapped[dict[str, Any] | None]
    """The manifest's `source`, once probed."""
    packet_index: Mapped[bytes | None] = mapped_column(deferred=True)
    """Time, size and key flag of each packet (`fotograma.packets`), once probed. Megabytes for a long video, so that it
    is read only when it is asked for."""
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    """Why the probe gave up, where nothing but the probe was asked for."""
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    probed_at: Mapped[datetime.datetime | None]
    expires_at: Mapped[datetime.datetime]
    deleted_at: Mapped[datetime.datetime | None]
    """The tombstone: gone for the user; objects go next, this row last."""
