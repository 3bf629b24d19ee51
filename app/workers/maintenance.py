"""The sweep: finds what was lost and rings for it. Every worker process tries; an advisory lock lets one at a time."""

import threading
import time

import structlog
from sqlalchemy import text

from app import audit, fleet, task_queue
from app.accounts import mail_lifecycle
from app.database import open_session
from app.extractions import retention, segment_lifecycle, turns
from app.notifications import queries as notifications
from app.settings import get_settings
from app.storage import get_storage
from app.videos import direct_upload_lifecycle as direct_uploads
from app.videos import lifecycle as videos
from app.videos import upload_lifecycle as uploads
from app.webhooks import delivery_lifecycle
from app.webhooks import queries as webhooks

logger = structlog.get_logger()

# Their numbers mean nothing but "this lock of this project".
SWEEP_LOCK = 7_466_103
ROUND_LOCK = 7_466_104
ROUND_SECONDS = 3600.0
# Per sweep: the broker is filled as fast as workers can empty it, and no faster.
MOST_RINGS = 500


def sweep_until(stopping: threading.Event) -> None:
    """Sweep every few seconds, and go the hourly round, until the worker ends."""
    next_round = time.monotonic()
    while not stopping.wait(get_settings().sweep_seconds):
        try:
            sweep()
            if time.monotonic() >= next_round:
                next_round = time.monotonic() + ROUND_SECONDS
                go_round()
        except Exception as error:
            # The database or broker may be away: the next sweep comes in a moment, and nothing here is lost.
            logger.warning("sweep failed", error=str(error).splitlines()[:1])


def sweep() -> None:
    """Leases that ran out, buried videos, segments, mails and calls that nobody rang for."""
    with open_session() as session:
        if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": SWEEP_LOCK}):
            return
        if waiting_again := segment_lifecycle.expire_leases(session):
            logger.warning("leases ran out", segments=waiting_again)
        owed = turns.claimable(session), notifications.due(session), webhooks.due(session)
        # Within the lock, so that two sweeps don't ring for the same.
        for task, count in zip(task_queue.TASKS, owed, strict=True):
            _ring_for(task, count)
    retention.remove_buried(get_storage())
    retention.remove_ended(get_storage())


def _ring_for(task: str, count: int) -> None:
    """Ring until the broker holds as many messages as there is work."""
    if count:
        for _ in range(min(count - task_queue.waiting_rings(task), MOST_RINGS)):
            task_queue.ring(task)


def go_round() -> None:
    """What has expired, and what dead uploads and dead tokens left behind."""
    with open_session() as session:
        if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": ROUND_LOCK}):
            return
        fleet.forget_silent(session)
        delivery_lifecycle.forget_ended(session)
        mail_lifecycle.forget_expired(session)
        audit.forget_old(session)
        retention.warn_of_expiry()
        retention.bury_expired()
        videos.remove_abandoned_uploads(get_storage())
        uploads.remove_abandoned(get_storage())
        direct_uploads.remove_abandoned(get_storage())
        retention.remove_leftovers(get_storage())
