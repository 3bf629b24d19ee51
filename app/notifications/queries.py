"""Every read of the outbox."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.notifications.models import Email


def due(session: Session) -> int:
    """How many mails wait for a sender now."""
    return session.scalar(select(func.count()).where(Email.status == "PENDING", Email.not_before <= func.now())) or 0
