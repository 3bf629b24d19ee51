"""Every read of extractions, and of videos as their extractions make them look; each names the owner."""

import datetime
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, func, select, true
from sqlalchemy.orm import Session, aliased

from app.extractions import progress
from app.extractions.errors import ArchiveExpired, ExtractionNotFound, NothingReady, NotProbed
from app.extractions.models import Extraction, Segment, Status, Step
from app.extractions.results import place_of
from app.extractions.states import ExtractionState, VideoState, VideoStatus
from app.videos import queries as videos
from app.videos.errors import VideoNotFound
from app.videos.lifecycle import archive_name
from app.videos.models import Video
from fotograma.estimate import Estimate, estimate
from fotograma.packets import PacketIndex
from fotograma.plan import Plan


@dataclass(frozen=True)
class ReadyArchive:
    """A finished ZIP that may be downloaded."""

    extraction_id: uuid.UUID
    key: str
    name: str
    expires_at: datetime.datetime


def video_state(session: Session, video_id: uuid.UUID, *, user_id: uuid.UUID) -> VideoState:
    """The user's video as it stands."""
    states = video_states(session, Video.user_id == user_id, Video.id == video_id)
    if not states:
        raise VideoNotFound
    return states[0]


def video_states(session: Session, *which: ColumnElement[bool], limit: int | None = None) -> list[VideoState]:
    """Videos as they stand, newest first; `which` names their owners."""
    rows = session.execute(_video_states().where(*which).order_by(*_NEWEST_FIRST).limit(limit))
    return [_video_state(row) for row in rows]


def extraction_state(session: Session, extraction_id: uuid.UUID, *, user_id: uuid.UUID) -> ExtractionState:
    """The user's extraction as it stands."""
    row = session.execute(_extraction_states(user_id).where(Extraction.id == extraction_id)).one_or_none()
    if row is None:
        raise ExtractionNotFound
    return _extraction_state(row)


def list_extractions(session: Session, video_id: uuid.UUID, *, user_id: uuid.UUID) -> list[ExtractionState]:
    """All extractions of the user's video, newest first."""
    states = _extraction_states(user_id).where(Extraction.video_id == video_id)
    rows = session.execute(states.order_by(Extraction.created_at.desc(), Extraction.id.desc())).all()
    if not rows:
        # None were asked for, or it is nobody's here.
        videos.get_video(session, video_id, user_id=user_id)
    return [_extraction_state(row) for row in rows]


def estimate_extraction(video: Video, *, plan: Plan) -> Estimate:
    """What a plan would give of a video that is probed."""
    if video.media is None or video.packet_index is None:
        raise NotProbed
    if plan.stream not in (None, video.media["stream"]):
        raise NotProbed("Only the stream that was looked at can be estimated.")
    return estimate(plan, PacketIndex.from_bytes(video.packet_index), video.media)


def newest_archive(session: Session, video: Video) -> ReadyArchive:
    """The archive of the newest COMPLETED extraction of a video."""
    extraction = session.scalars(
        select(Extraction)
        .where(Extraction.video_id == video.id, Extraction.status == Status.COMPLETED)
        .order_by(Extraction.created_at.desc(), Extraction.id.desc())
        .limit(1)
    ).one_or_none()
    return _ready_archive(extraction, video)


def archive_of(session: Session, extraction_id: uuid.UUID, *, user_id: uuid.UUID) -> ReadyArchive:
    """The archive of the user's extraction."""
    state = extraction_state(session, extraction_id, user_id=user_id)
    return _ready_archive(state.extraction, state.video)


def extraction_of_archive(session: Session, key: str) -> Extraction | None:
    """Whose archive lies under this key; None where it is none."""
    place = place_of(key)
    if place is None:
        return None
    archive = Extraction.id == place.extraction_id, Extraction.archive_key == key
    return session.scalars(select(Extraction).where(*archive)).one_or_none()


def count_waiting(session: Session, *, user_id: uuid.UUID) -> int:
    """How many of the user's extractions nobody has begun."""
    waiting = Extraction.user_id == user_id, Extraction.status == Status.PENDING
    return session.scalar(select(func.count()).where(*waiting)) or 0


def stored_bytes(session: Session, *, user_id: uuid.UUID) -> int:
    """What the user's videos and archives take."""
    archives = (
        select(func.sum(Extraction.archive_bytes))
        .join(Video, Video.id == Extraction.video_id)
        # Of both, so that two indexes tell all.
        .where(Extraction.user_id == user_id, Video.user_id == user_id, Video.deleted_at.is_(None))
    )
    return videos.stored_bytes(session, user_id=user_id) + int(session.scalar(archives) or 0)


def _frames_done(extraction_id: Any) -> Any:
    return (
        select(func.coalesce(func.sum(Segment.frames_done), 0))
        .where(Segment.extraction_id == extraction_id, Segment.step == Step.FRAMES)
        .scalar_subquery()
    )


_newest_rows = (
    select(Extraction)
    .where(Extraction.video_id == Video.id)
    .order_by(Extraction.created_at.desc(), Extraction.id.desc())
    .limit(1)
    .lateral("newest")
)
_newest = aliased(Extraction, _newest_rows)
# `VideoState.status` in SQL, for what selects by it.
video_status = func.coalesce(
    _newest.status,
    case(
        (Video.error_code.is_not(None), VideoStatus.FAILED),
        (Video.probed_at.is_(None), VideoStatus.PENDING),
        else_=VideoStatus.READY,
    ),
)


_NEWEST_FIRST = Video.created_at.desc(), Video.id.desc()


def _video_states() -> Select[Video, Extraction | None, int, Any]:
    return (
        select(Video, _newest, _frames_done(_newest.id), progress.parts_of(_newest))
        .outerjoin(_newest_rows, true())
        .where(Video.deleted_at.is_(None))
    )


def _video_state(row: Row[Video, Extraction | None, int, Any]) -> VideoState:
    video, extraction, frames_done, parts = row
    if extraction is None:
        return VideoState(video=video, newest=None)
    newest = ExtractionState(extraction, video, frames_done=frames_done, seconds_left=progress.seconds_left(parts))
    return VideoState(video=video, newest=newest)


def _extraction_states(user_id: uuid.UUID) -> Select[Extraction, Video, int, Any]:
    return (
        select(Extraction, Video, _frames_done(Extraction.id), progress.parts_of(Extraction))
        .join(Video, Video.id == Extraction.video_id)
        .where(Video.user_id == user_id, Video.deleted_at.is_(None))
    )


def _extraction_state(row: Row[Extraction, Video, int, Any]) -> ExtractionState:
    extraction, video, frames_done, parts = row
    return ExtractionState(extraction, video, frames_done=frames_done, seconds_left=progress.seconds_left(parts))


def _ready_archive(extraction: Extraction | None, video: Video) -> ReadyArchive:
    if extraction is None or extraction.archive_key is None:
        raise NothingReady
    if video.expires_at <= datetime.datetime.now(datetime.UTC):
        raise ArchiveExpired
    return ReadyArchive(
        extraction_id=extraction.id,
        key=extraction.archive_key,
        name=archive_name(video.filename),
        expires_at=video.expires_at,
    )
