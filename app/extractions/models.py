"""Runs of a plan over a video, and the segments they are worked off in."""

import datetime
import enum
import uuid
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, new_id
from app.logs import current_request_id


class Status(enum.StrEnum):
    """Of an extraction, and of a segment."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Step(enum.StrEnum):
    """What a segment asks its worker to do."""

    PROBE = "PROBE"
    """Read the facts and the packet index, then cut the extraction (this row becomes its first segment)."""
    FRAMES = "FRAMES"
    """Decode the segment's range and leave entries and rows."""
    JOIN = "JOIN"
    """Copy the entries of all segments into the archive."""


class Extraction(Base):
    """One run of one plan over one video."""

    __tablename__ = "extractions"
    __table_args__ = (
        Index("ix_extractions_video_id_created_at", "video_id", "created_at", "id"),
        Index("ix_extractions_user_id_status", "user_id", "status"),
        Index(
            "ix_extractions_results_left",
            "completed_at",
            postgresql_where=text("status IN ('FAILED', 'CANCELLED') AND results_removed_at IS NULL"),
        ),
        Index("ix_extractions_user_id_completed_at", "user_id", "completed_at"),
        # What a user's archives take, and which videos were asked nothing of, without a look at the rows.
        Index("ix_extractions_stored", "user_id", "video_id", postgresql_include=["archive_bytes"]),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    video_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"))
    user_id: Mapped[uuid.UUID]
    plan: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(default=Status.PENDING)
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    warnings: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'::jsonb"), default=list)
    frames_total: Mapped[int | None]
    """Frames expected, from the packet index; stays once it is known."""
    frames: Mapped[int | None]
    """Frames in the archive."""
    archive_key: Mapped[str | None]
    archive_bytes: Mapped[int | None] = mapped_column(BigInteger)
    archive_sha256: Mapped[str | None]
    engine: Mapped[dict[str, Any] | None]
    """What made the archive: the same plan of the same bytes by the same versions gives the same frames."""
    resent_as: Mapped[uuid.UUID | None]
    """The extraction that an operator began in place of this one, which was given up."""
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime.datetime | None]
    completed_at: Mapped[datetime.datetime | None]
    """When it ended, however it ended."""
    results_removed_at: Mapped[datetime.datetime | None]
    """When what its segments had left in storage was removed, where it ended without an archive."""
    told_at: Mapped[datetime.datetime | None]
    """When its progress was last told to those who watch."""


class Segment(Base):
    """A half-open time range of an extraction: the unit that is claimed, retried and spread over workers."""

    __tablename__ = "segments"
    __table_args__ = (
        UniqueConstraint("extraction_id", "number"),
        Index("ix_segments_waiting", "user_id", "created_at", "id", postgresql_where=text("status = 'PENDING'")),
        # Not of the leases: they change with each heartbeat, which is cheap while no index has to follow.
        Index("ix_segments_running", "user_id", "extraction_id", postgresql_where=text("status = 'PROCESSING'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    video_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"), index=True)
    extraction_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("extractions.id", ondelete="CASCADE"))
    """Empty for a probe that nobody asked an extraction of."""
    user_id: Mapped[uuid.UUID]
    # Here and not in the ring: a ring says of nothing in particular, and may be lost with the broker.
    request_id: Mapped[uuid.UUID | None] = mapped_column(default=current_request_id)
    """Who asked for it, for the logs; the segments that a worker cuts have that of their probe."""
    number: Mapped[int] = mapped_column(default=0)
    step: Mapped[str] = mapped_column(default=Step.PROBE)
    status: Mapped[str] = mapped_column(default=Status.PENDING)
    start_pts: Mapped[int | None] = mapped_column(BigInteger)
    """First tick of the range; empty: from the beginning."""
    end_pts: Mapped[int | None] = mapped_column(BigInteger)
    """First tick behind the range; empty: to the end."""

    token: Mapped[int] = mapped_column(default=0)
    """Raised by each claim; every later write must carry it."""
    worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime.datetime | None]
    not_before: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    crashes: Mapped[int] = mapped_column(default=0)
    losses: Mapped[int] = mapped_column(default=0)
    infra_failures: Mapped[int] = mapped_column(default=0)

    frames_done: Mapped[int] = mapped_column(default=0)
    """Never falls, not even when another worker begins again."""
    frames_expected: Mapped[int | None]
    """From the packet index; empty where only the pictures tell."""
    started_at: Mapped[datetime.datetime | None]
    """When it was first claimed."""
    progressed_at: Mapped[datetime.datetime | None]
    """When its worker last said how far it is."""
    frames: Mapped[int | None]
    entries_bytes: Mapped[int | None] = mapped_column(BigInteger)
    warnings: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'::jsonb"), default=list)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime.datetime | None]
