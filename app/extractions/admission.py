"""An upload becomes a video, and what was asked of it begins: all of it or nothing."""

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import User
from app.errors import Unauthenticated
from app.extractions import lifecycle, queries
from app.extractions.errors import TooManyWaiting
from app.extractions.queries import ExtractionState, VideoState
from app.settings import get_settings
from app.videos import lifecycle as videos
from app.videos.errors import NoRoomLeft
from app.videos.models import Upload
from fotograma.plan import Plan


def room_left(session: Session, *, user_id: uuid.UUID) -> int:
    """How many bytes the user may still store; asked before the first byte, so that a lost cause is refused at once."""
    settings = get_settings()
    if queries.count_waiting(session, user_id=user_id) >= settings.user_extractions_waiting:
        raise TooManyWaiting(retry_after_seconds=30)
    return settings.user_stored_max_bytes - queries.stored_bytes(session, user_id=user_id)


def admit(
    session: Session, upload: Upload, *, filename: str, size_bytes: int, sha256: str, plan: Plan | None
) -> VideoState:
    """Make a video of an upload whose bytes are in storage and begin its extraction; without a plan, its probe."""
    # The user's row is the gate: of two uploads that both just fit, the second sees the first. Nor can a user who is
    # leaving leave a video behind.
    if session.scalar(select(User.id).where(User.id == upload.user_id).with_for_update()) is None:
        raise Unauthenticated
    stored = queries.stored_bytes(session, user_id=upload.user_id)
    if stored + size_bytes > get_settings().user_stored_max_bytes:
        raise NoRoomLeft
    video = videos.admit(session, upload.id, filename=filename, size_bytes=size_bytes, sha256=sha256)
    if plan is None:
        lifecycle.request_probe(session, video)
        return VideoState(video=video, newest=None)
    extraction = lifecycle.request_extraction(session, video, plan=plan)
    return VideoState(video=video, newest=ExtractionState(extraction=extraction, video=video, frames_done=0))
