"""Whose a segment is: claimed under a lease, kept by heartbeats, given back, failed or lost.

A claim raises the segment's token, and each later write names the token it was given. A worker that was paused, cut
off or taken for dead finds its token outdated, changes nothing, and stops (`LeaseLost`). Leases run by the database's
clock, so that no worker's clock matters. What work leaves is written by `app.extractions.work_lifecycle`.

Whoever locks an extraction and its segments locks the extraction first; the other order would deadlock with a cancel.
"""

import random
import uuid
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app import metrics, task_queue
from app.database import after_commit
from app.extractions import lifecycle, turns
from app.extractions.claims import Claim, claim_of, hold_extraction, is_held, lease_end, write
from app.extractions.errors import LeaseLost
from app.extractions.models import Segment, Status
from app.videos import lifecycle as videos
from fotograma.errors import CODES, Cause

TRIES: Mapping[Cause, int] = MappingProxyType({Cause.CRASH: 2, Cause.INFRA: 10})
LOSSES = 5
"""Leases that may run out before a segment is given up: whatever kills its workers, it is not by chance."""
LONGEST_PAUSE_SECONDS = 300.0
LONGEST_ASKED_PAUSE = timedelta(hours=1)
"""A store that asks to be left alone for longer is asked again sooner, for it may have said nonsense."""


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
                lease_expires_at=lease_end(),
                started_at=func.coalesce(Segment.started_at, func.now()),
                progressed_at=func.now(),
                completed_at=None,
            )
            .returning(Segment)
        ).one_or_none()
        if segment is None or turns.is_within_limit(session, segment):
            attempt.commit()
            return None if segment is None else claim_of(segment)
        # Others were sooner, which is committed by now: the next look sees it.
        attempt.rollback()


def keep_lease(session: Session, claim: Claim, *, frames_done: int) -> None:
    """Heartbeat: renew the lease and tell how far it is."""
    write(
        session,
        claim,
        lease_expires_at=lease_end(),
        frames_done=func.greatest(Segment.frames_done, frames_done),
        progressed_at=func.now(),
    )


def give_back(session: Session, claim: Claim) -> None:
    """The worker is told to stop: somebody else goes on, and nothing is counted."""
    write(session, claim, status=Status.PENDING, lease_expires_at=None, worker=None)
    after_commit(session, lambda: task_queue.ring(task_queue.SEGMENT_TASK))
    after_commit(session, metrics.recoveries.labels("given back").inc)


def fail(session: Session, claim: Claim, *, code: str, message: str, pause_at_least: timedelta = timedelta(0)) -> None:
    """The attempt failed: try again later where that may help, else give the extraction up."""
    hold_extraction(session, claim)
    cause = CODES[code].cause
    counter = {Cause.CRASH: Segment.crashes, Cause.INFRA: Segment.infra_failures}.get(cause)
    if counter is not None:
        failures = session.scalars(select(counter).where(*is_held(claim)).with_for_update()).one_or_none()
        if failures is None:
            raise LeaseLost
        if failures + 1 < TRIES[cause]:
            write(
                session,
                claim,
                status=Status.PENDING,
                lease_expires_at=None,
                worker=None,
                not_before=func.now() + max(_pause(failures), min(pause_at_least, LONGEST_ASKED_PAUSE)),
                **{counter.key: failures + 1},
            )
            after_commit(session, lambda: task_queue.ring(task_queue.SEGMENT_TASK))
            after_commit(session, metrics.retries.labels(counter.key).inc)
            return
    write(session, claim, status=Status.FAILED, lease_expires_at=None, completed_at=func.now())
    _give_up(session, claim, code=code, message=message)


def expire_leases(session: Session) -> int:
    """Segments whose worker fell silent wait again (returns how many), or are given up after too many losses."""
    silent = Segment.status == Status.PROCESSING, Segment.lease_expires_at < func.now()
    waiting_again = 0
    all_found = session.scalars(select(Segment).where(*silent).order_by(Segment.extraction_id, Segment.id)).all()
    returned = task_queue.find_notes([claim_of(found).note_of_return for found in all_found])
    for found in all_found:
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
        segment.lease_expires_at = None
        if claim_of(segment).note_of_return in returned:
            # Told to stop while the database was away: nobody's fault.
            segment.status = Status.PENDING
            waiting_again += 1
            after_commit(session, metrics.recoveries.labels("given back").inc)
            continue
        segment.losses += 1
        if segment.losses < LOSSES:
            segment.status = Status.PENDING
            waiting_again += 1
            after_commit(session, metrics.retries.labels("losses").inc)
            after_commit(session, metrics.recoveries.labels("lease ran out").inc)
        else:
            segment.status = Status.FAILED
            _give_up(session, claim_of(segment), code="LOST", message=CODES["LOST"].sentence)
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


def _give_up(session: Session, claim: Claim, *, code: str, message: str) -> None:
    if claim.extraction_id is not None:
        lifecycle.fail(session, claim.extraction_id, code=code, message=message)
    else:
        videos.record_probe_failure(session, claim.video_id, code=code, message=message)


def _pause(failures: int) -> timedelta:
    """1, 2, 4... seconds with jitter, so that what failed together does not come back together."""
    return timedelta(seconds=min(2.0**failures, LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0))  # noqa: S311
