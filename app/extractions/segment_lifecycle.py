"""Every change of a segment: claimed under a lease, kept by heartbeats, finished or given back.

A claim raises the segment's token, and each later write names the token it was given. A worker that was paused, cut
off or taken for dead finds its token outdated, changes nothing, and stops (`LeaseLost`). Leases run by the database's
clock, so that no worker's clock matters.

Whoever locks an extraction and its segments locks the extraction first; the other order would deadlock with a cancel.
"""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from app import metrics, task_queue
from app.database import after_commit
from app.extractions import lifecycle, turns
from app.extractions.errors import LeaseLost
from app.extractions.models import Segment, Status, Step
from app.extractions.results import Place
from app.settings import get_settings
from app.videos import lifecycle as videos
from fotograma.errors import CODES, Cause

TRIES: Mapping[Cause, int] = MappingProxyType({Cause.CRASH: 2, Cause.INFRA: 10})
LOSSES = 5
"""Leases that may run out before a segment is given up: whatever kills its workers, it is not by chance."""
LONGEST_PAUSE_SECONDS = 300.0


@dataclass(frozen=True)
class Range:
    """Ticks [start, end) of the stream; None is the beginning or the end."""

    start_pts: int | None = None
    end_pts: int | None = None
    frames: int | None = field(default=None, compare=False)
    """How many the packet index lets expect in it; None where only the pictures tell."""


@dataclass(frozen=True)
class Claim:
    """A segment as its worker holds it."""

    segment_id: uuid.UUID
    token: int
    video_id: uuid.UUID
    extraction_id: uuid.UUID | None
    step: Step
    number: int
    range: Range
    user_id: uuid.UUID

    @property
    def place(self) -> Place:
        """Where this holder's objects go; no other holder ever writes there."""
        assert self.extraction_id is not None
        return Place(self.extraction_id, self.segment_id, self.token)


def claim_segment(session: Session, *, worker: str) -> Claim | None:
    """Take the segment whose turn it is (`app.extractions.turns`); None when there is nothing to do."""
    while True:
        attempt = session.begin_nested()
        segment = session.scalars(
            update(Segment)
            .where(Segment.id == turns.next_segment())
            .values(
                status=Status.PROCESSING,
                token=Segment.token + 1,
                worker=worker,
                lease_expires_at=_lease(),
                started_at=func.coalesce(Segment.started_at, func.now()),
                progressed_at=func.now(),
                completed_at=None,
            )
            .returning(Segment)
        ).one_or_none()
        if segment is None or turns.is_within_limit(session, segment):
            attempt.commit()
            return None if segment is None else _claim(segment)
        # Others were sooner, which is committed by now: the next look sees it.
        attempt.rollback()


def keep_lease(session: Session, claim: Claim, *, frames_done: int) -> None:
    """Heartbeat: renew the lease and tell how far it is."""
    _write(
        session,
        claim,
        lease_expires_at=_lease(),
        frames_done=func.greatest(Segment.frames_done, frames_done),
        progressed_at=func.now(),
    )


def give_back(session: Session, claim: Claim) -> None:
    """The worker is told to stop: somebody else goes on, and nothing is counted."""
    _write(session, claim, status=Status.PENDING, lease_expires_at=None, worker=None)
    after_commit(session, lambda: task_queue.ring(task_queue.SEGMENT_TASK))
    after_commit(session, metrics.recoveries.labels("given back").inc)


def record_source(session: Session, claim: Claim, *, object_key: str, size_bytes: int, sha256: str) -> None:
    """The video's bytes are one object now; the first to say so is believed."""
    _write(session, claim, lease_expires_at=_lease())
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
    _hold_extraction(session, claim)
    first = ranges[0]
    _write(
        session,
        claim,
        step=Step.FRAMES,
        start_pts=first.start_pts,
        end_pts=first.end_pts,
        frames_expected=first.frames,
        lease_expires_at=_lease(),
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
    return _claim(segment)


def uncut(session: Session, claim: Claim) -> Claim:
    """The parts can't be taken one by one after all: this segment is the whole extraction now.

    Whoever holds another one loses it; what was done of it counts as done, so that no progress is taken back.
    """
    assert claim.extraction_id is not None
    _hold_extraction(session, claim)
    # Their last words: one that was still to come would be progress taken back.
    others = session.execute(
        delete(Segment)
        .where(Segment.extraction_id == claim.extraction_id, Segment.id != claim.segment_id)
        .returning(Segment.frames_done, Segment.frames_expected)
    ).all()
    _write(
        session,
        claim,
        start_pts=None,
        end_pts=None,
        frames_done=Segment.frames_done + sum(other.frames_done for other in others),
        frames_expected=Segment.frames_expected + sum(other.frames_expected or 0 for other in others),
        lease_expires_at=_lease(),
    )
    return _claim(session.get_one(Segment, claim.segment_id, populate_existing=True))


def finish_frames(
    session: Session, claim: Claim, *, frames: int, entries_bytes: int, warnings: Sequence[dict[str, str]]
) -> Claim | None:
    """The segment's entries and rows are in storage.

    Returns:
        The claim of the join where this was the last one, else None.
    """
    assert claim.extraction_id is not None
    # Also the gate for two segments that end at the same time: they must not both find the other open.
    _hold_extraction(session, claim)
    _write(
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
        lease_expires_at=_lease(),
    )
    session.add(join)
    session.flush()
    return _claim(join)


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
    _hold_extraction(session, claim)
    videos.record_probe(session, claim.video_id, media=media, packet_index=packet_index, replace=usual_stream)
    finish_join(session, claim, archive)


def finish_join(session: Session, claim: Claim, archive: lifecycle.Archive) -> None:
    """The archive is in storage: the extraction is COMPLETED."""
    assert claim.extraction_id is not None
    _hold_extraction(session, claim)
    _write(session, claim, status=Status.COMPLETED, lease_expires_at=None, completed_at=func.now())
    if not lifecycle.complete(session, claim.extraction_id, archive):
        raise LeaseLost


def fail(session: Session, claim: Claim, *, code: str, message: str) -> None:
    """The attempt failed: try again later where that may help, else give the extraction up."""
    _hold_extraction(session, claim)
    cause = CODES[code].cause
    counter = {Cause.CRASH: Segment.crashes, Cause.INFRA: Segment.infra_failures}.get(cause)
    if counter is not None:
        failures = session.scalars(select(counter).where(*_held(claim)).with_for_update()).one_or_none()
        if failures is None:
            raise LeaseLost
        if failures + 1 < TRIES[cause]:
            _write(
                session,
                claim,
                status=Status.PENDING,
                lease_expires_at=None,
                worker=None,
                not_before=func.now() + _pause(failures),
                **{counter.key: failures + 1},
            )
            after_commit(session, lambda: task_queue.ring(task_queue.SEGMENT_TASK))
            after_commit(session, metrics.retries.labels(counter.key).inc)
            return
    _write(session, claim, status=Status.FAILED, lease_expires_at=None, completed_at=func.now())
    _give_up(session, claim, code=code, message=message)


def expire_leases(session: Session) -> int:
    """Segments whose worker fell silent wait again (returns how many), or are given up after too many losses."""
    silent = Segment.status == Status.PROCESSING, Segment.lease_expires_at < func.now()
    waiting_again = 0
    for found in session.scalars(select(Segment).where(*silent).order_by(Segment.extraction_id, Segment.id)).all():
        if found.extraction_id is not None and not lifecycle.hold(session, found.extraction_id):
            continue
        segment = session.scalars(
            select(Segment)
            .where(Segment.id == found.id, *silent)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).one_or_none()
        if segment is None:
            continue
        segment.losses += 1
        segment.lease_expires_at = None
        if segment.losses < LOSSES:
            segment.status = Status.PENDING
            waiting_again += 1
            after_commit(session, metrics.retries.labels("losses").inc)
            after_commit(session, metrics.recoveries.labels("lease ran out").inc)
        else:
            segment.status = Status.FAILED
            _give_up(session, _claim(segment), code="LOST", message=CODES["LOST"].sentence)
    return waiting_again


def take_up(session: Session, extraction_id: uuid.UUID | None) -> int:
    """What waits for the time of its next try is due now (returns how much); of one extraction, all that is open."""
    due = select(Segment.id).with_for_update(skip_locked=extraction_id is None)
    if extraction_id is None:
        due = due.where(Segment.status == Status.PENDING, Segment.not_before > func.now())
    else:
        # Whoever holds the extraction keeps others from these.
        due = due.where(Segment.extraction_id == extraction_id, Segment.status.in_(lifecycle.OPEN))
    waiting: dict[str, Any] = {"status": Status.PENDING, "lease_expires_at": None, "worker": None}
    taken = update(Segment).where(Segment.id.in_(due)).values(not_before=func.now(), **waiting).returning(Segment.id)
    return len(session.scalars(taken).all())


def _hold_extraction(session: Session, claim: Claim) -> None:
    if claim.extraction_id is not None and not lifecycle.hold(session, claim.extraction_id):
        raise LeaseLost


def _give_up(session: Session, claim: Claim, *, code: str, message: str) -> None:
    if claim.extraction_id is not None:
        lifecycle.fail(session, claim.extraction_id, code=code, message=message)
    else:
        videos.record_probe_failure(session, claim.video_id, code=code, message=message)


def _held(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        Segment.id == claim.segment_id,
        Segment.token == claim.token,
        Segment.status == Status.PROCESSING,
    )


def _write(session: Session, claim: Claim, **values: Any) -> None:
    """Change the segment if it is still the claim's."""
    changed = session.scalars(update(Segment).where(*_held(claim)).values(**values).returning(Segment.id)).one_or_none()
    if changed is None:
        raise LeaseLost


def _claim(segment: Segment) -> Claim:
    return Claim(
        segment_id=segment.id,
        token=segment.token,
        video_id=segment.video_id,
        extraction_id=segment.extraction_id,
        step=Step(segment.step),
        number=segment.number,
        range=Range(segment.start_pts, segment.end_pts),
        user_id=segment.user_id,
    )


def _lease() -> ColumnElement[Any]:
    return func.now() + timedelta(seconds=get_settings().lease_seconds)


def _pause(failures: int) -> timedelta:
    """1, 2, 4... seconds with jitter, so that what failed together does not come back together."""
    return timedelta(seconds=min(2.0**failures, LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0))  # noqa: S311
