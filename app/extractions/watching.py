"""Reads for those who watch their videos: what has changed, and what may have while they were away."""

import datetime
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, or_, select, tuple_, union
from sqlalchemy.orm import Session

from app.changes import Change
from app.extractions import queries
from app.extractions.lifecycle import OPEN
from app.extractions.models import Extraction, Segment
from app.extractions.states import VideoState
from app.videos.models import Video

RECENT_MOST = 200


@dataclass(frozen=True)
class Recent:
    """A user's videos that have not ended, or have changed since a moment."""

    states: list[VideoState]
    is_complete: bool
    """False: there are more than are told; the list of all videos has them."""


def read_clock(session: Session) -> datetime.datetime:
    """When this transaction began to read, by the database's clock."""
    return session.scalars(select(func.now())).one()


def read_changed(session: Session, changed: Collection[Change]) -> dict[Change, VideoState]:
    """The videos that have changed, as they are now; what is missing is deleted."""
    pairs = [(change.user_id, change.video_id) for change in changed]
    states = queries.video_states(session, tuple_(Video.user_id, Video.id).in_(pairs))
    return {Change(user_id=state.video.user_id, video_id=state.video.id): state for state in states}


def read_recent(session: Session, *, user_id: uuid.UUID, since: datetime.datetime) -> Recent:
    """What may be news to a user who last saw everything at `since`."""
    # Each of these has an index; what is asked of all of a user's videos would take long for who has many.
    which = union(
        select(Extraction.video_id).where(Extraction.user_id == user_id, Extraction.status.in_(OPEN)),
        select(Extraction.video_id).where(Extraction.user_id == user_id, Extraction.completed_at >= since),
        select(Segment.video_id).where(Segment.user_id == user_id, Segment.status.in_(OPEN)),
        select(Video.id).where(Video.user_id == user_id, or_(Video.created_at >= since, Video.probed_at >= since)),
    )
    states = queries.video_states(session, Video.user_id == user_id, Video.id.in_(which), limit=RECENT_MOST + 1)
    return Recent(states=states[:RECENT_MOST], is_complete=len(states) <= RECENT_MOST)
