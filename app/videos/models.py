"""What was uploaded, and what is on its way."""

import datetime
import uuid
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
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
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """What will come at most: room that is kept for it while it comes."""
    heard_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    """When it was last seen to come; written now and then."""
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    abandoned_at: Mapped[datetime.datetime]
    """When nobody can still be sending, and the object may be removed."""


class ResumableUpload(Base):
    """A video that comes in several requests, with a row for each part of it that is in storage."""

    __tablename__ = "resumable_uploads"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    """Becomes the video's id."""
    user_id: Mapped[uuid.UUID] = mapped_column(index=True)
    """No foreign key: the row must outlive its user until the objects are gone."""
    filename: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    """Announced; never changes."""
    offset_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    """How many of them storage holds for good."""
    metadata_header: Mapped[str]
    """Upload-Metadata as it was sent, which the protocol wants back."""
    plan: Mapped[dict[str, Any] | None]
    """None: only look at the video."""
    lock_token: Mapped[int] = mapped_column(default=0)
    """Raised by each request that takes the lock; every later write of that request must carry it."""
    locked_until: Mapped[datetime.datetime | None]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    abandoned_at: Mapped[datetime.datetime] = mapped_column(index=True)
    """When nobody may go on any more, and its objects may be removed."""
    finished_at: Mapped[datetime.datetime | None]
    """When it became a video. The row stays a while for a client that missed the answer."""
    landing_key: Mapped[str | None]
    """Where its client puts it by itself, straight into the store; None: it comes through the API (tus)."""
    landing_until: Mapped[datetime.datetime | None]
    """Until then bytes may still come there, whatever became of the upload: the row must outlive that."""
    session_url: Mapped[str | None]
    """The store's own upload, to be ended when it is given up. Whoever knows it may write."""
    sha256: Mapped[str | None]
    """What its client has announced; the worker's own must be the same."""


class UploadPart(Base):
    """A run of an upload's bytes as an object."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("resumable_uploads.id", ondelete="CASCADE"), primary_key=True
    )
    start_byte: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    object_key: Mapped[str]
    etag: Mapped[str | None]
    """Of the very bytes that were completed, where somebody else than us can write there."""


class Video(Base):
    """An uploaded file and what the probe says of it."""

    __tablename__ = "videos"
    __table_args__ = (
        Index("ix_videos_user_id_created_at", "user_id", "created_at", "id"),
        Index("ix_videos_user_id_sha256", "user_id", "sha256"),
        # What a user's videos take, without a look at the rows.
        Index(
            "ix_videos_stored",
            "user_id",
            "id",
            postgresql_include=["size_bytes"],
            postgresql_where=text("deleted_at IS NULL"),
        ),
        # The few that have not been looked at yet, or could not be.
        Index(
            "ix_videos_not_probed",
            "user_id",
            "id",
            postgresql_where=text("probed_at IS NULL OR error_code IS NOT NULL"),
        ),
        # Those that nothing was asked of, as they are listed.
        Index(
            "ix_videos_unasked",
            "user_id",
            "created_at",
            "id",
            postgresql_where=text("asked_at IS NULL AND deleted_at IS NULL"),
        ),
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
    sha256: Mapped[str | None]
    """None until a worker has put the parts of a resumable upload together, or has fetched an import."""
    source_url: Mapped[str | None]
    """Where it is imported from."""
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
    asked_at: Mapped[datetime.datetime | None]
    """When frames were first asked of it. Empty also where a release that did not note it was asked: whether there is
    an extraction is what counts."""
    expires_at: Mapped[datetime.datetime]
    deleted_at: Mapped[datetime.datetime | None]
    """The tombstone: gone for the user; objects go next, this row last."""
