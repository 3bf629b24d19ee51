"""What comes of the work on a segment: its extraction is cut, its frames are there, the archive is joined.

Each write names the token that its worker was given (`app.extractions.segment_lifecycle`).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app import task_queue
from app.database import after_commit
from app.extractions import lifecycle
from app.extractions.claims import Claim, Range, claim_of, hold_extraction, lease_end, write
from app.extractions.errors import LeaseLost
from app.extractions.models import Segment, Status, Step
from app.videos import lifecycle as videos


def record_source(session: Session, claim: Claim, *, object_key: str, size_bytes: int, sha256: str) -> None:
    """The video's bytes are one object now; the first to say so is believed."""
    write(session, claim, lease_expires_at=lease_end())
    videos.record_source(session, claim.video_id, object_key=object_key, size_bytes=size_bytes, sha256=sha256)


def cut(
    session: Session,
    claim: Claim,
    *,
    media: dict[str, Any],
    packet_index: bytes,
    ranges: Sequence[Range],
    frames_total: int | None,
    usual_stream: bool = True,
) -> Claim | None:
    """The probe is done: keep what it says, and cut the extraction into segments.

    What it says of another than the `usual_stream` is kept only where nothing is known of the video yet.

    Returns:
        The claim of the first segment, which the same worker holds on to; None when only the probe was asked for.
    """
    hold_extraction(session, claim)
    first = ranges[0]
    write(
        session,
        claim,
        step=Step.FRAMES,
        start_pts=first.start_pts,
        end_pts=first.end_pts,
        frames_expected=first.frames,
        lease_expires_at=lease_end(),
    )
    videos.record_probe(session, claim.video_id, media=media, packet_index=packet_index, replace=usual_stream)
    if claim.extraction_id is None:
        session.execute(delete(Segment).where(Segment.id == claim.segment_id))
        return None
    lifecycle.expect(session, claim.extraction_id, frames_total=frames_total)
    segment = session.get_one(Segment, claim.segment_id, populate_existing=True)
    for number, part in enumerate(ranges[1:], start=1):
        session.add(
            Segment(
                video_id=segment.video_id,
                extraction_id=segment.extraction_id,
                user_id=segment.user_id,
                number=number,
                step=Step.FRAMES,
                start_pts=part.start_pts,
                end_pts=part.end_pts,
                frames_expected=part.frames,
                # As old as what was asked for: what its user asked for later waits for all of it.
                created_at=segment.created_at,
            )
        )
        after_commit(session, lambda: task_queue.ring(task_queue.SEGMENT_TASK))
    return claim_of(segment)


def uncut(session: Session, claim: Claim) -> Claim:
    """The parts can't be taken one by one after all: this segment is the whole extraction now.

    Whoever holds another one loses it; what was done of it counts as done, so that no progress is taken back.
    """
    assert claim.extraction_id is not None
    hold_extraction(session, claim)
    # Their last words: one that was still to come would be progress taken back.
    others = session.execute(
        delete(Segment)
        .where(Segment.extraction_id == claim.extraction_id, Segment.id != claim.segment_id)
        .returning(Segment.frames_done, Segment.frames_expected)
    ).all()
    write(
        session,
        claim,
        start_pts=None,
        end_pts=None,
        frames_done=Segment.frames_done + sum(other.frames_done for other in others),
        frames_expected=Segment.frames_expected + sum(other.frames_expected or 0 for other in others),
        lease_expires_at=lease_end(),
    )
    return claim_of(session.get_one(Segment, claim.segment_id, populate_existing=True))


def finish_frames(
    session: Session, claim: Claim, *, frames: int, entries_bytes: int, warnings: Sequence[dict[str, str]]
) -> Claim | None:
    """The segment's entries and rows are in storage.

    Returns:
        The claim of the join where this was the last one, else None.
    """
    assert claim.extraction_id is not None
    # Also the gate for two segments that end at the same time: they must not both find the other open.
    hold_extraction(session, claim)
    write(
        session,
        claim,
        status=Status.COMPLETED,
        frames=frames,
        frames_done=func.greatest(Segment.frames_done, frames),
        entries_bytes=entries_bytes,
        warnings=list(warnings),
        lease_expires_at=None,
        completed_at=func.now(),
    )
    of_extraction = Segment.extraction_id == claim.extraction_id
    if session.scalar(select(Segment.id).where(of_extraction, Segment.status.in_(lifecycle.OPEN)).limit(1)):
        return None
    finished = session.get_one(Segment, claim.segment_id, populate_existing=True)
    join = Segment(
        video_id=finished.video_id,
        extraction_id=finished.extraction_id,
        user_id=finished.user_id,
        number=1 + (session.scalar(select(func.max(Segment.number)).where(of_extraction)) or 0),
        step=Step.JOIN,
        status=Status.PROCESSING,
        token=1,
        worker=finished.worker,
        lease_expires_at=lease_end(),
    )
    session.add(join)
    session.flush()
    return claim_of(join)


def answer_from_before(
    session: Session,
    claim: Claim,
    archive: lifecycle.Archive,
    *,
    media: dict[str, Any],
    packet_index: bytes,
    usual_stream: bool,
) -> None:
    """The probe found the same asked before, and the archive is there at once: nothing is cut, and nothing to join."""
    hold_extraction(session, claim)
    videos.record_probe(session, claim.video_id, media=media, packet_index=packet_index, replace=usual_stream)
    finish_join(session, claim, archive)


def finish_join(session: Session, claim: Claim, archive: lifecycle.Archive) -> None:
    """The archive is in storage: the extraction is COMPLETED."""
    assert claim.extraction_id is not None
    hold_extraction(session, claim)
    write(session, claim, status=Status.COMPLETED, lease_expires_at=None, completed_at=func.now())
    if not lifecycle.complete(session, claim.extraction_id, archive):
        raise LeaseLost
