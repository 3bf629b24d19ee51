"""What an operator has done by hand: work taken up again, and rows brought in line with the objects there are."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app import task_queue
from app.database import after_commit, open_session
from app.extractions import lifecycle, segment_lifecycle, verification
from app.extractions.errors import ExtractionEnded
from app.extractions.models import Extraction, Segment, Status
from app.extractions.results import place_of
from app.extractions.verification import Kind
from app.storage import Storage
from app.videos.models import Video


@dataclass(frozen=True)
class Mended:
    """What was done about a row whose object is gone."""

    what: Literal["extracted again", "withdrawn"]
    key: str


def requeue(session: Session, extraction_id: uuid.UUID | None = None) -> int:
    """Let segments be taken now that wait for the time of their next try; tells how many.

    Of one extraction, also those that a worker holds: it loses them, and what it does of them is dropped.
    """
    if extraction_id is not None and not lifecycle.hold(session, extraction_id):
        raise ExtractionEnded
    taken = segment_lifecycle.take_up(session, extraction_id)
    if taken:
        after_commit(session, lambda: task_queue.ring(task_queue.SEGMENT_TASK))
    return taken


def begin_anew(session: Session) -> int:
    """Begin every open extraction anew: what its segments had in storage may be gone, or another's; tells how many."""
    extractions = session.scalars(
        select(Extraction).where(Extraction.status.in_(lifecycle.OPEN)).order_by(Extraction.id).with_for_update()
    ).all()
    for extraction in extractions:
        lifecycle.begin_anew(session, extraction)
    # Probes of videos that were asked nothing of.
    session.execute(
        update(Segment)
        .where(Segment.extraction_id.is_(None), Segment.status == Status.PROCESSING)
        .values(status=Status.PENDING, lease_expires_at=None, worker=None, not_before=func.now())
    )
    return len(extractions)


def mend(storage: Storage) -> Iterator[Mended]:
    """For each archive that is gone its frames are taken again, and a video that is gone is withdrawn."""
    gone = [finding.key for finding in verification.verify(storage) if finding.kind == Kind.NO_OBJECT]
    # Videos first: what is withdrawn needs no archive any more.
    for key in gone:
        if place_of(key) is None and _withdraw(key):
            yield Mended("withdrawn", key)
    for key in gone:
        if place_of(key) is not None and _extract_again(key):
            yield Mended("extracted again", key)


def _withdraw(object_key: str) -> bool:
    with open_session() as session:
        video = session.scalars(
            select(Video).where(Video.object_key == object_key, Video.deleted_at.is_(None)).with_for_update()
        ).one_or_none()
        if video is not None:
            lifecycle.withdraw(session, video)
        return video is not None


def _extract_again(archive_key: str) -> bool:
    place = place_of(archive_key)
    assert place is not None
    with open_session() as session:
        extraction = session.scalars(
            select(Extraction)
            .join(Video, Video.id == Extraction.video_id)
            .where(
                Extraction.id == place.extraction_id,
                Extraction.archive_key == archive_key,
                Video.deleted_at.is_(None),
            )
            .with_for_update(of=Extraction)
        ).one_or_none()
        if extraction is not None:
            lifecycle.lose_archive(session, extraction)
            lifecycle.resend(session, extraction)
        return extraction is not None
