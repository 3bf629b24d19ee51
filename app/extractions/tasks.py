"""What a worker must know of the segment it holds."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.extractions.errors import LeaseLost
from app.extractions.models import Extraction, Segment, Status, Step
from app.extractions.results import Place
from app.extractions.segment_lifecycle import Claim
from app.videos.lifecycle import archive_name
from app.videos.models import Video


@dataclass(frozen=True)
class Task:
    """What a worker must know of a segment's video and plan."""

    object_key: str
    filename: str
    size_bytes: int
    archive_name: str
    plan: dict[str, Any] | None
    """None where only the probe was asked for."""
    is_whole: bool
    """Whether the video's bytes are one object yet."""


@dataclass(frozen=True)
class FinishedSegment:
    """A segment whose frames are in storage."""

    place: Place
    warnings: list[dict[str, Any]]


def task_of(session: Session, claim: Claim) -> Task:
    """What a worker must know to work on its segment."""
    found = select(Video, Extraction.plan).outerjoin(Extraction, Extraction.id == claim.extraction_id)
    row = session.execute(found.where(Video.id == claim.video_id)).one_or_none()
    if row is None:
        raise LeaseLost
    video, plan = row
    return Task(
        object_key=video.object_key,
        filename=video.filename,
        size_bytes=video.size_bytes,
        archive_name=archive_name(video.filename),
        plan=plan,
        is_whole=video.sha256 is not None,
    )


def finished_segments(session: Session, claim: Claim) -> list[FinishedSegment]:
    """The segments whose entries make the archive, in order."""
    finished = (
        select(Segment)
        .where(
            Segment.extraction_id == claim.extraction_id,
            Segment.step == Step.FRAMES,
            Segment.status == Status.COMPLETED,
        )
        .order_by(Segment.number)
    )
    return [
        FinishedSegment(place=replace(claim.place, segment_id=found.id, token=found.token), warnings=found.warnings)
        for found in session.scalars(finished)
    ]
