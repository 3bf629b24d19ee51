"""Every read of videos and uploads that knows nothing of extractions; each names the owner."""

import datetime
import uuid

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.videos.errors import UploadExpired, UploadNotFound, VideoNotFound
from app.videos.models import ResumableUpload, Video


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
    found = select(ResumableUpload).where(ResumableUpload.id == upload_id, ResumableUpload.user_id == user_id)
    upload = session.scalars(found).one_or_none()
    if upload is None:
        raise UploadNotFound
    if upload.abandoned_at <= datetime.datetime.now(datetime.UTC):
        raise UploadExpired
    return upload


def count_uploads(session: Session, *, user_id: uuid.UUID) -> int:
    """How many of the user's resumable uploads are under way."""
    return session.scalar(select(func.count()).where(*_under_way(user_id))) or 0


def count_videos(session: Session, *, user_id: uuid.UUID, since: datetime.datetime | None = None) -> int:
    """How many videos the user has; with `since` only those that came from then on."""
    which = [Video.user_id == user_id, Video.deleted_at.is_(None)]
    if since is not None:
        which.append(Video.created_at >= since)
    return session.scalar(select(func.count()).where(*which)) or 0


def stored_bytes(session: Session, *, user_id: uuid.UUID) -> int:
    """What the user's videos take, their archives apart, and what uploads under way will take."""
    of_user = Video.user_id == user_id, Video.deleted_at.is_(None)
    videos = session.scalar(select(func.sum(Video.size_bytes)).where(*of_user))
    announced = session.scalar(select(func.sum(ResumableUpload.size_bytes)).where(*_under_way(user_id)))
    return int(videos or 0) + int(announced or 0)


def _under_way(user_id: uuid.UUID) -> tuple[ColumnElement[bool], ...]:
    return ResumableUpload.user_id == user_id, ResumableUpload.finished_at.is_(None)
