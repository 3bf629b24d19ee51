"""Extractions that were given up though their video may be fine: its decoder died, its workers or the storage did.

Sent again, a dead letter stays what it is, FAILED, for its owner was told so; a new extraction of the same plan begins
beside it, becomes its video's newest, and mails what comes of it.
"""

import datetime
import uuid
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.accounts.models import User
from app.extractions import lifecycle
from app.extractions.errors import ExtractionNotFound
from app.extractions.models import Extraction, Status
from app.videos.models import Video
from fotograma.errors import CODES, Cause

GIVEN_UP = [code.name for code in CODES.values() if code.cause in (Cause.CRASH, Cause.INFRA)]


@dataclass(frozen=True)
class DeadLetter:
    """An extraction that was given up."""

    extraction_id: uuid.UUID
    failed_at: datetime.datetime
    code: str
    email: str
    """Its owner's."""
    filename: str


def list_dead_letters(session: Session) -> list[DeadLetter]:
    """Those that were not sent again yet and whose video is still there, oldest first."""
    found = (
        select(Extraction, User.email, Video.filename)
        .join(Video, Video.id == Extraction.video_id)
        .join(User, User.id == Extraction.user_id)
        .where(*_is_dead())
        .order_by(Extraction.completed_at, Extraction.id)
    )
    return [
        DeadLetter(
            extraction_id=dead.id,
            failed_at=dead.completed_at or dead.created_at,
            code=dead.error_code or "",
            email=email,
            filename=filename,
        )
        for dead, email, filename in session.execute(found)
    ]


def retry(session: Session, extraction_id: uuid.UUID) -> Extraction:
    """Send one again; gives the new extraction."""
    dead = session.scalars(
        select(Extraction)
        .join(Video, Video.id == Extraction.video_id)
        .where(Extraction.id == extraction_id, *_is_dead())
        .with_for_update(of=Extraction)
    ).one_or_none()
    if dead is None:
        raise ExtractionNotFound("There is no such dead letter, or it was sent again already.")
    return lifecycle.resend(session, dead)


def _is_dead() -> tuple[ColumnElement[bool], ...]:
    return (
        Extraction.status == Status.FAILED,
        Extraction.error_code.in_(GIVEN_UP),
        Extraction.resent_as.is_(None),
        Video.deleted_at.is_(None),
        Video.expires_at > func.now(),
    )
