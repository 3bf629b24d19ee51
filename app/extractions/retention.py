"""What is not kept: expired videos, of which their owners are warned, and what nobody can want any more."""

import datetime
import itertools
from collections.abc import Mapping

import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from app.database import open_session
from app.extractions import lifecycle
from app.extractions.models import Extraction, Segment, Status
from app.extractions.results import Place, place_of
from app.notifications.models import Email
from app.settings import get_settings
from app.storage import Storage
from app.videos import lifecycle as videos
from app.videos.models import Video

logger = structlog.get_logger()

PAGE_KEYS = 500
NOTICE = datetime.timedelta(days=3)
"""How long before a video expires its owner is warned."""
# Per sweep, so that one who cancels a thousand holds nobody's work up.
MOST_ENDED = 50


def warn_of_expiry() -> None:
    """Owe a mail for each video whose archive is soon removed; safe to run twice, for it is owed once."""
    warned = select(Email.id).where(Email.video_id == Video.id, Email.kind == "expiring")
    with open_session() as session:
        archives = session.scalars(
            select(Extraction.id)
            .ext(distinct_on(Extraction.video_id))
            .join(Video, Video.id == Extraction.video_id)
            .where(
                Extraction.status == Status.COMPLETED,
                Extraction.archive_key.is_not(None),
                Video.deleted_at.is_(None),
                Video.expires_at > func.now(),
                Video.expires_at <= func.now() + NOTICE,
                # Where all is kept for so short a time, the first mail has just been.
                Video.created_at < Video.expires_at - NOTICE,
                ~warned.exists(),
            )
            .order_by(Extraction.video_id, Extraction.created_at.desc(), Extraction.id.desc())
        ).all()
    for extraction_id in archives:
        with open_session() as session:
            newest = session.get(Extraction, extraction_id)
            if newest is not None:
                lifecycle.warn_of_expiry(session, session.get_one(Video, newest.video_id), newest)


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


def remove_ended(storage: Storage) -> None:
    """Remove what the segments of failed and cancelled extractions have left; safe to run twice."""
    # By then each worker has asked for its lease and was refused it. What one that slept for longer writes, the hourly
    # round finds.
    noticed = func.now() - datetime.timedelta(seconds=get_settings().lease_seconds)
    with open_session() as session:
        ended = session.scalars(
            select(Extraction.id)
            .where(
                Extraction.status.in_((Status.FAILED, Status.CANCELLED)),
                Extraction.results_removed_at.is_(None),
                Extraction.completed_at < noticed,
            )
            .order_by(Extraction.completed_at)
            .limit(MOST_ENDED)
        ).all()
    for extraction_id in ended:
        storage.delete_prefix(f"results/{extraction_id}/")
        with open_session() as session:
            lifecycle.forget_results(session, extraction_id)


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
    # By the id that is in the key: archives have no index by their keys.
    named = Extraction.id.in_({place.extraction_id for place in found.values()})
    archives = set(session.scalars(select(Extraction.archive_key).where(named)))
    return {
        key
        for key, place in found.items()
        if place.archive in archives or (place.extraction_id, place.segment_id, place.token) in holders
    }
