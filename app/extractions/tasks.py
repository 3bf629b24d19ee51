"""What a worker must know of the segment it holds."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.extractions.claims import Claim
from app.extractions.errors import LeaseLost
from app.extractions.models import Extraction, Segment, Status, Step
from app.extractions.results import Place, place_of
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
    source_url: str | None
    """Where they are fetched from; None: from the parts of an upload."""
    packet_index: bytes | None
    """Where it is known already, and the file has no table that tells it."""


@dataclass(frozen=True)
class FinishedFrames:
    """Frames in storage, with their rows and thumbnails: a segment's, or those of a whole archive."""

    place: Place
    entries_key: str
    """The object that begins with them."""
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
        source_url=video.source_url,
        packet_index=_known_index(video, claim, plan),
    )


def _known_index(video: Video, claim: Claim, plan: dict[str, Any] | None) -> bytes | None:
    """The packet index of the stream that the plan means, where the extraction's own probe has found it."""
    if claim.step == Step.PROBE or video.media is None or video.media["container"].startswith("mov"):
        return None
    # That of the usual stream is kept once it is known; a plan may mean another.
    is_of_it = plan is None or plan.get("stream") in (None, video.media["stream"])
    return video.packet_index if is_of_it else None


def finished_segments(session: Session, claim: Claim) -> list[FinishedFrames]:
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
    places = [
        (replace(claim.place, segment_id=found.id, token=found.token), found.warnings)
        for found in session.scalars(finished)
    ]
    return [FinishedFrames(place=place, entries_key=place.entries, warnings=warnings) for place, warnings in places]


def same_before(session: Session, claim: Claim, *, engine: dict[str, str]) -> FinishedFrames | None:
    """The archive of the same user, bytes, plan and engine, where there is one."""
    before, video_before = aliased(Extraction), aliased(Video)
    same = (
        select(before)
        .join(video_before, video_before.id == before.video_id)
        .join(Video, (Video.user_id == video_before.user_id) & (Video.sha256 == video_before.sha256))
        .join(Extraction, (Extraction.video_id == Video.id) & (Extraction.plan == before.plan))
        .where(
            Extraction.id == claim.extraction_id,
            before.status == Status.COMPLETED,
            before.engine == engine,
            video_before.deleted_at.is_(None),
            video_before.expires_at > func.now(),
        )
        .order_by(before.completed_at.desc())
        .limit(1)
    )
    found = session.scalars(same).one_or_none()
    place = None if found is None else place_of(found.archive_key or "")
    if found is None or place is None:
        return None
    return FinishedFrames(place=place, entries_key=place.archive, warnings=found.warnings)


def has_finished(session: Session, claim: Claim) -> bool:
    """Whether the segment ended well under this claim."""
    # Locked, so that a commit that is still on its way is waited for.
    held = select(Segment.token, Segment.status).where(Segment.id == claim.segment_id).with_for_update(read=True)
    return session.execute(held).one_or_none() == (claim.token, Status.COMPLETED)
