"""Every read of videos and uploads that knows nothing of extractions; each names the owner."""

import datetime
import uuid

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.videos.errors import UploadExpired, UploadNotFound, VideoNotFound
from app.videos.models import ResumableUpload, Upload, Video

HEARD_EVERY = datetime.timedelta(minutes=1)
SILENT_AFTER = 3 * HEARD_EVERY
"""An upload in one request of which nothing was heard for so long has died with its process."""


def get_video(session: Session, video_id: uuid.UUID, *, user_id: uuid.UUID) -> Video:
    """The user's video."""
    video = session.scalars(
        select(Video).where(Video.id == video_id, Video.user_id == user_id, Video.deleted_at.is_(None))
    ).one_or_none()
    if video is None:
        raise VideoNotFound
    return video


def get_upload(session: Session, upload_id: uuid.UUID, *, user_id: uuid.UUID) -> ResumableUpload:
    """The user's resumable upload."""
    found = select(ResumableUpload).where(
        ResumableUpload.id == upload_id, ResumableUpload.user_id == user_id, ResumableUpload.landing_key.is_(None)
    )
    upload = session.scalars(found).one_or_none()
    if upload is None:
        raise UploadNotFound
    if upload.abandoned_at <= datetime.datetime.now(datetime.UTC):
        raise UploadExpired
    return upload


def count_uploads(session: Session, *, user_id: uuid.UUID) -> int:
    """How many of the user's uploads are under way."""
    counts = select(func.count()).where(*_under_way(user_id)), select(func.count()).where(*_coming(user_id))
    return sum(session.scalar(count) or 0 for count in counts)


def count_videos(session: Session, *, user_id: uuid.UUID) -> int:
    """How many videos the user has."""
    return session.scalar(select(func.count()).where(Video.user_id == user_id, Video.deleted_at.is_(None))) or 0


def stored_bytes(session: Session, *, user_id: uuid.UUID) -> int:
    """What the user's videos take, their archives apart, and what uploads under way will take."""
    of_user = Video.user_id == user_id, Video.deleted_at.is_(None)
    videos = session.scalar(select(func.sum(Video.size_bytes)).where(*of_user))
    announced = session.scalar(select(func.sum(ResumableUpload.size_bytes)).where(*_under_way(user_id)))
    coming = session.scalar(select(func.sum(Upload.size_bytes)).where(*_coming(user_id)))
    return int(videos or 0) + int(announced or 0) + int(coming or 0)


def _under_way(user_id: uuid.UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        ResumableUpload.user_id == user_id,
        ResumableUpload.finished_at.is_(None),
        ResumableUpload.abandoned_at > func.now(),
    )


def _coming(user_id: uuid.UUID) -> tuple[ColumnElement[bool], ...]:
    return Upload.user_id == user_id, Upload.heard_at > func.now() - SILENT_AFTER
