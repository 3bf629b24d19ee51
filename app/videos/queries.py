"""Every read of videos that knows nothing of extractions; each names the owner."""

import uuid

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.videos.errors import VideoNotFound
from app.videos.models import Video


def get_video(session: Session, video_id: uuid.UUID, *, user_id: uuid.UUID) -> Video:
    """The user's video."""
    video = session.scalars(
        select(Video).where(Video.id == video_id, Video.user_id == user_id, Video.deleted_at.is_(None))
    ).one_or_none()
    if video is None:
        raise VideoNotFound
    return video


def stored_bytes(session: Session, *, user_id: uuid.UUID) -> int:
    """What the user's videos take, their archives apart."""
    of_user = Video.user_id == user_id, Video.deleted_at.is_(None)
    return int(session.scalar(select(func.sum(Video.size_bytes)).where(*of_user)) or 0)
