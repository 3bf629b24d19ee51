"""What is not kept: expired videos, and the objects of buried ones."""

import uuid

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database import open_session
from app.extractions import lifecycle
from app.extractions.models import Extraction, Segment, Status, Step
from app.storage import Storage
from app.videos import lifecycle as videos
from app.videos.models import Video


def bury_expired() -> None:
    """Withdraw the videos whose time has come; safe to run twice."""
    with open_session() as session:
        expired = session.scalars(
            select(Video.id).where(Video.expires_at <= func.now(), Video.deleted_at.is_(None))
        ).all()
    for video_id in expired:
        with open_session() as session:
            lifecycle.withdraw(session, session.get_one(Video, video_id))


def remove_buried(storage: Storage) -> None:
    """Remove the objects of buried videos, then their rows; safe to run twice, for the row goes last."""
    with open_session() as session:
        buried = session.scalars(select(Video.id).where(Video.deleted_at.is_not(None)).order_by(Video.deleted_at)).all()
    for video_id in buried:
        with open_session() as session:
            extractions = session.scalars(select(Extraction.id).where(Extraction.video_id == video_id)).all()
        for extraction_id in extractions:
            storage.delete_prefix(f"results/{extraction_id}/")
        storage.delete_prefix(f"videos/{video_id}/")
        with open_session() as session:
            videos.forget(session, video_id)


def remove_leftovers(storage: Storage) -> None:
    """Remove results that no row names: what dead holders of segments wrote, and joined entries; safe to run twice."""
    for key in storage.list("results/"):
        _, extraction_id, segment_id, token, *_ = key.split("/")
        with open_session() as session:
            if not _is_wanted(session, uuid.UUID(extraction_id), uuid.UUID(segment_id), int(token)):
                storage.delete(key)


def _is_wanted(session: Session, extraction_id: uuid.UUID, segment_id: uuid.UUID, token: int) -> bool:
    """Whether the segment may still be read or written under that token."""
    extraction = session.get(Extraction, extraction_id)
    if extraction is None or extraction.status in (Status.FAILED, Status.CANCELLED):
        return False
    segment = session.get(Segment, segment_id)
    # A claim raises the token before anything is written under it, so that a lower one is past and none is ahead.
    if segment is None or segment.token != token:
        return False
    return extraction.status != Status.COMPLETED or segment.step == Step.JOIN
