"""How much waits and runs at this moment."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.extractions.models import Segment, Status


@dataclass(frozen=True)
class Backlog:
    """The segments of all users."""

    waiting: int
    """Could be taken now."""
    paused: int
    """Wait for the time of their next try."""
    running: int
    oldest_seconds: float
    """How long the oldest of the waiting could have been taken."""


def read_backlog(session: Session) -> Backlog:
    """Counted by the two partial indexes on what is not finished, however much is."""
    is_due = Segment.not_before <= func.now()
    due_for = func.extract("epoch", func.now() - func.greatest(Segment.created_at, Segment.not_before))
    waiting, paused, oldest = session.execute(
        select(
            func.count().filter(is_due),
            func.count().filter(~is_due),
            func.coalesce(func.max(due_for).filter(is_due), 0),
        ).where(Segment.status == Status.PENDING)
    ).one()
    running = session.scalar(select(func.count()).where(Segment.status == Status.PROCESSING)) or 0
    return Backlog(waiting=waiting, paused=paused, running=running, oldest_seconds=float(oldest))
