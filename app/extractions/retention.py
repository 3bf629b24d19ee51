"""What is not kept: expired videos, and the objects of buried ones."""

import itertools
from collections.abc import Mapping

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database import open_session
from app.extractions import lifecycle
from app.extractions.models import Extraction, Segment
from app.extractions.results import Place, place_of
from app.storage import Storage
from app.videos import lifecycle as videos
from app.videos.models import Video

logger = structlog.get_logger()

PAGE_KEYS = 500


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
    keys = storage.list("results/")
    while page := list(itertools.islice(keys, PAGE_KEYS)):
        found = {key: place for key in page if (place := place_of(key)) is not None}
        for key in page:
            if key not in found:
                logger.warning("an object that is none of ours", key=key)
        with open_session() as session:
            unwanted = found.keys() - wanted(session, found)
        for key in unwanted:
            storage.delete(key)


def wanted(session: Session, found: Mapping[str, Place]) -> set[str]:
    """The keys beside archives, and those under which a segment's holder may still write or read."""
    # A claim raises the token before anything is written under it, so that a lower one is past and none is ahead.
    of_open = (
        select(Segment.extraction_id, Segment.id, Segment.token)
        .join(Extraction, Extraction.id == Segment.extraction_id)
        .where(Segment.id.in_([place.segment_id for place in found.values()]), Extraction.status.in_(lifecycle.OPEN))
    )
    holders = {tuple(row) for row in session.execute(of_open)}
    of_completed = select(Extraction.archive_key).where(
        Extraction.archive_key.in_([place.archive for place in found.values()])
    )
    archives = set(session.scalars(of_completed))
    return {
        key
        for key, place in found.items()
        if place.archive in archives or (place.extraction_id, place.segment_id, place.token) in holders
    }
