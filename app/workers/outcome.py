"""How work on a segment ended: told to a database that may be away, and what does not count removed."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import task_queue
from app.database import DATABASE_AWAY, open_session
from app.errors import ServiceError
from app.extractions import segment_lifecycle, tasks
from app.extractions.claims import Claim
from app.extractions.errors import LeaseLost
from app.storage import Storage
from app.workers.lease import Lease
from fotograma.errors import Cancelled, FotogramaError

logger = structlog.get_logger()

# A result is worth waiting for a database that restarts; past that the lease is gone anyway.
PERSIST_SECONDS = 30.0
# A worker that was told to stop has ten in all, and one try against a frozen database takes three.
GIVE_BACK_SECONDS = 2.0

T = TypeVar("T")


def persist(lease: Lease, write: Callable[[Session], T]) -> T:
    """Write a result, waiting for a database that is away for a moment; a worker that must stop waits for nothing."""
    return _persist_until(time.monotonic() + PERSIST_SECONDS, write, or_until=lambda: lease.given_up)


def _persist_until(
    deadline: float, write: Callable[[Session], T], *, or_until: Callable[[], bool] = lambda: False
) -> T:
    while True:
        try:
            with open_session() as session:
                return write(session)
        except DATABASE_AWAY:
            if or_until():
                raise Cancelled from None
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def give_back(lease: Lease) -> None:
    """Let others have the segment, for the worker must stop. What the database can't be told now it sees when the lease
    runs out, and a note by the broker keeps that from being counted."""
    try:
        try:
            with open_session() as session:
                segment_lifecycle.give_back(session, lease.claim)
        except DATABASE_AWAY:
            _leave_note(lease.claim)
            deadline = time.monotonic() + GIVE_BACK_SECONDS
            _persist_until(deadline, lambda session: segment_lifecycle.give_back(session, lease.claim))
        logger.info("segment given back")
    except LeaseLost:
        logger.warning("lease lost")
    except DATABASE_AWAY as error:
        logger.warning("segment not given back, its lease runs out", error=str(error).splitlines()[0])


def _leave_note(claim: Claim) -> None:
    try:
        task_queue.leave_notes(claim.note_of_return)
    except Exception as error:
        # Both away: then it counts as one loss of the five that it may have.
        logger.warning("no note left", error=str(error))


def fail(lease: Lease, error: FotogramaError, *, pause_at_least: timedelta | None = None) -> None:
    """Say why the attempt failed; the next one is no sooner than `pause_at_least` from now."""
    try:
        persist(
            lease,
            lambda session: segment_lifecycle.fail(
                session,
                lease.claim,
                code=error.code.name,
                message=error.sentence,
                pause_at_least=pause_at_least or timedelta(0),
            ),
        )
    except LeaseLost:
        logger.warning("lease lost")
    except Cancelled:
        give_back(lease)


def drop_output(claim: Claim, storage: Storage) -> None:
    """Remove what this holder has written, unless that is what counts: a commit may have come through unheard."""
    if claim.extraction_id is None:
        return
    try:
        with open_session() as session:
            if tasks.has_finished(session, claim):
                return
    except SQLAlchemyError as error:
        logger.warning("output left behind", error=str(error).splitlines()[0])
        return
    remove(storage, claim.place.prefix)


def remove(storage: Storage, prefix: str) -> None:
    """Remove what nobody needs; what can't be removed now, the rounds find."""
    try:
        storage.delete_prefix(prefix)
    except (ServiceError, OSError) as error:
        logger.warning("output left behind", error=str(error))
