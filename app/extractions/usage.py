"""How much of what a user may have is taken."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts.models import User
from app.accounts.quotas import Quotas, quotas_of
from app.extractions import queries
from app.extractions.models import Extraction, Status
from app.videos import queries as videos


@dataclass(frozen=True)
class Usage:
    """What one user has, beside what there may be of it."""

    stored_bytes: int
    videos: int
    extractions_running: int
    extractions_waiting: int
    uploads_today: int
    quotas: Quotas


def read_usage(session: Session, user: User) -> Usage:
    """How much of what this user may have is taken."""
    running = Extraction.user_id == user.id, Extraction.status == Status.PROCESSING
    return Usage(
        stored_bytes=queries.stored_bytes(session, user_id=user.id),
        videos=videos.count_videos(session, user_id=user.id),
        extractions_running=session.scalar(select(func.count()).where(*running)) or 0,
        extractions_waiting=queries.count_waiting(session, user_id=user.id),
        uploads_today=user.uploads_since_midnight,
        quotas=quotas_of(user),
    )
