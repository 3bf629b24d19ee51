"""Every change of an extraction.

    PENDING ──claim──> PROCESSING ──complete──> COMPLETED
       │                   ├─────fail─────────> FAILED
       └──────cancel───────┴──────────────────> CANCELLED

The work itself moves in `segment_lifecycle` and `work_lifecycle`; here an extraction begins and ends, and what ends it
also owes mail and calls, in the same transaction.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Update, delete, func, select, update
from sqlalchemy.orm import Session

from app import changes, metrics, task_queue
from app.accounts.models import User
from app.accounts.quotas import quotas_of
from app.database import after_commit
from app.extractions.errors import ExtractionEnded, TooManyWaiting
from app.extractions.models import Extraction, Segment, Status, Step
from app.notifications import lifecycle as notifications
from app.settings import get_settings
from app.videos import lifecycle as videos
from app.videos import upload_lifecycle as uploads
from app.videos.models import Video
from app.webhooks import delivery_lifecycle as webhooks
from fotograma.plan import Plan

OPEN = (Status.PENDING, Status.PROCESSING)

PROGRESS_PAUSE = timedelta(seconds=1)
"""How often at most an extraction tells how far it is, however many workers it has."""


@dataclass(frozen=True)
class Archive:
    """A finished ZIP in storage."""

    key: str
    size_bytes: int
    sha256: str
    frames: int
    warnings: list[dict[str, str]]
    engine: dict[str, str] | None = None
    """Versions of what decoded and encoded."""


def request_extraction(session: Session, video: Video, *, plan: Plan, may_wait: bool = False) -> Extraction:
    """Begin an extraction of `video`: the row, its first segment, and a ring once both are committed.

    With `may_wait` however many of its user are waiting already.
    """
    # The user's row is the gate: requests of one user count one after another, so that none slips past the limit.
    user = session.scalars(select(User).where(User.id == video.user_id).with_for_update()).one()
    waiting = session.scalar(
        select(func.count()).where(Extraction.user_id == video.user_id, Extraction.status == Status.PENDING)
    )
    if not may_wait and (waiting or 0) >= quotas_of(user).extractions_waiting:
        raise TooManyWaiting(retry_after_seconds=30)
    extraction = Extraction(video_id=video.id, user_id=video.user_id, plan=plan.to_json())
    session.add(extraction)
    session.flush()
    videos.record_asked(session, video.id)
    _begin(session, video, extraction_id=extraction.id)
    return extraction


def resend(session: Session, dead: Extraction) -> Extraction:
    """Begin an extraction anew that was given up, whatever its user has waiting: an operator asks, not the user."""
    video = session.get_one(Video, dead.video_id)
    again = request_extraction(session, video, plan=Plan.from_json(dead.plan), may_wait=True)
    dead.resent_as = again.id
    return again


def begin_anew(session: Session, extraction: Extraction) -> None:
    """Drop what was done of an open extraction; it waits as if it had just been asked for."""
    session.execute(delete(Segment).where(Segment.extraction_id == extraction.id))
    extraction.status, extraction.started_at, extraction.frames_total = Status.PENDING, None, None
    _begin(session, session.get_one(Video, extraction.video_id), extraction_id=extraction.id)


def lose_archive(session: Session, extraction: Extraction) -> None:
    """Its archive is gone: it can't be downloaded, nor counted as stored, nor copied from."""
    extraction.archive_key = extraction.archive_bytes = extraction.archive_sha256 = extraction.engine = None
    session.flush()


def request_probe(session: Session, video: Video) -> None:
    """Have the video looked at without extracting anything."""
    _begin(session, video, extraction_id=None)


def _begin(session: Session, video: Video, *, extraction_id: uuid.UUID | None) -> None:
    # The probe also belongs to an extraction of a video probed before: it is cheap, and cuts by today's settings.
    session.add(Segment(video_id=video.id, user_id=video.user_id, extraction_id=extraction_id, step=Step.PROBE))
    changes.tell(session, user_id=video.user_id, video_id=video.id)
    after_commit(session, lambda: task_queue.ring(task_queue.SEGMENT_TASK))


def started(session: Session, extraction_id: uuid.UUID) -> None:
    """A worker has taken its first segment."""
    _change(
        session,
        update(Extraction)
        .where(Extraction.id == extraction_id, Extraction.status == Status.PENDING)
        .values(status=Status.PROCESSING, started_at=func.now()),
    )


def expect(session: Session, extraction_id: uuid.UUID, *, frames_total: int | None) -> None:
    """The probe knows how many frames to expect; what is known stays."""
    _change(
        session,
        update(Extraction)
        .where(Extraction.id == extraction_id)
        .values(frames_total=func.coalesce(Extraction.frames_total, frames_total)),
    )


def tell_progress(session: Session, extraction_id: uuid.UUID) -> None:
    """Its segments are further than they were. To be called in a transaction of its own: told or not, it is over at
    once, and nobody who ends the extraction waits for it."""
    due = (
        select(Extraction.id)
        .where(
            Extraction.id == extraction_id,
            Extraction.status == Status.PROCESSING,
            func.coalesce(Extraction.told_at, Extraction.created_at) < func.now() - PROGRESS_PAUSE,
        )
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    _change(session, update(Extraction).where(Extraction.id == due).values(told_at=func.now()))


def hold(session: Session, extraction_id: uuid.UUID) -> bool:
    """Keep others from changing the extraction until this transaction ends. False: it has ended."""
    held = select(Extraction.id).where(Extraction.id == extraction_id, Extraction.status.in_(OPEN)).with_for_update()
    return session.scalar(held) is not None


def complete(session: Session, extraction_id: uuid.UUID, archive: Archive) -> bool:
    """All frames are in `archive`: point to it and owe the mail. False: the extraction had ended before."""
    extraction = _end(
        session,
        extraction_id,
        status=Status.COMPLETED,
        archive_key=archive.key,
        archive_bytes=archive.size_bytes,
        archive_sha256=archive.sha256,
        engine=archive.engine,
        frames=archive.frames,
        frames_total=func.coalesce(Extraction.frames_total, archive.frames),
        warnings=archive.warnings,
    )
    if extraction is None:
        return False
    video = session.get_one(Video, extraction.video_id)
    facts = _facts_of(extraction, video)
    _owe_email(session, user_id=video.user_id, kind="completed", facts=facts, extraction_id=extraction_id)
    return True


def fail(session: Session, extraction_id: uuid.UUID, *, code: str, message: str) -> bool:
    """Give the extraction up, stop its other segments and owe the mail. False: it had ended before."""
    extraction = _end(session, extraction_id, status=Status.FAILED, error_code=code, error_message=message)
    if extraction is None:
        return False
    _stop_segments(session, extraction_id)
    video = session.get_one(Video, extraction.video_id)
    facts = {"filename": video.filename, "code": code, "message": message, "video_id": str(video.id)}
    _owe_email(session, user_id=video.user_id, kind="failed", facts=facts, extraction_id=extraction_id)
    return True


def warn_of_expiry(session: Session, video: Video, newest: Extraction) -> None:
    """Tell the owner, once, that the video and the archives of it are about to go; `newest` is what can be had."""
    facts = {**_facts_of(newest, video), "expires_at": video.expires_at.isoformat()}
    _owe_email(session, user_id=video.user_id, kind="expiring", facts=facts, video_id=video.id)


def forget_results(session: Session, extraction_id: uuid.UUID) -> None:
    """What an extraction that gave no archive had in storage is removed."""
    session.execute(update(Extraction).where(Extraction.id == extraction_id).values(results_removed_at=func.now()))


def cancel(session: Session, extraction: Extraction) -> Extraction:
    """The user wants it no more. Workers notice at their next heartbeat, and nobody is mailed."""
    cancelled = _end(session, extraction.id, status=Status.CANCELLED)
    if cancelled is None:
        raise ExtractionEnded
    _stop_segments(session, extraction.id)
    return cancelled


def withdraw(session: Session, video: Video) -> None:
    """Delete a video for its user: what runs is stopped, and its objects go next."""
    for extraction in session.scalars(_held(Extraction.video_id == video.id)):
        cancel(session, extraction)
    session.execute(delete(Segment).where(Segment.video_id == video.id, Segment.extraction_id.is_(None)))
    videos.bury(session, video)


def withdraw_all(session: Session, *, user_id: uuid.UUID) -> None:
    """Delete all videos of a user who leaves."""
    # No upload and no request comes in between; a mail that is just being owed may, for it needs the row as it is.
    session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    uploads.give_up_all(session, user_id=user_id)
    # All at once and in their order, as the sweep takes them: one video after another could deadlock with it.
    session.execute(_held(Extraction.user_id == user_id))
    for video in session.scalars(select(Video).where(Video.user_id == user_id, Video.deleted_at.is_(None))):
        withdraw(session, video)


def _held(*which: ColumnElement[bool]) -> Select[Extraction]:
    """Open extractions, kept from ending until this transaction does."""
    return select(Extraction).where(*which, Extraction.status.in_(OPEN)).order_by(Extraction.id).with_for_update()


def _end(session: Session, extraction_id: uuid.UUID, *, status: Status, **values: Any) -> Extraction | None:
    """The one gate through which an extraction ends: the first to come passes, and only that one."""
    extraction = _change(
        session,
        update(Extraction)
        .where(Extraction.id == extraction_id, Extraction.status.in_(OPEN))
        .values(status=status, completed_at=func.now(), **values),
    )
    if extraction is not None:
        _owe_calls(session, extraction)
        ended = metrics.extractions_ended.labels(status.value, extraction.error_code or "")
        after_commit(session, ended.inc)
    return extraction


def _change(session: Session, change: Update) -> Extraction | None:
    """Change an extraction, and tell those who watch it."""
    extraction = session.scalars(change.returning(Extraction).execution_options(populate_existing=True)).one_or_none()
    if extraction is not None:
        changes.tell(session, user_id=extraction.user_id, video_id=extraction.video_id)
    return extraction


def _stop_segments(session: Session, extraction_id: uuid.UUID) -> None:
    session.execute(
        update(Segment)
        .where(Segment.extraction_id == extraction_id, Segment.status.in_(OPEN))
        .values(status=Status.CANCELLED, lease_expires_at=None)
    )


def _owe_calls(session: Session, extraction: Extraction) -> None:
    video = session.get_one(Video, extraction.video_id)
    failure = {"code": extraction.error_code, "message": extraction.error_message}
    webhooks.owe(
        session,
        user_id=extraction.user_id,
        kind=f"extraction.{extraction.status.lower()}",
        data={
            "extraction_id": str(extraction.id),
            "video_id": str(video.id),
            "filename": video.filename,
            "status": extraction.status,
            "frames": extraction.frames,
            "archive_bytes": extraction.archive_bytes,
            "error": failure if extraction.error_code is not None else None,
            "url": f"{get_settings().public_url.rstrip('/')}/extractions/{extraction.id}",
        },
    )


def _facts_of(extraction: Extraction, video: Video) -> dict[str, Any]:
    """What a mail tells of an archive."""
    return {
        "filename": video.filename,
        "frames": extraction.frames,
        "archive_key": extraction.archive_key,
        "archive_bytes": extraction.archive_bytes,
        "download_name": videos.archive_name(video.filename),
        "video_id": str(video.id),
        "warnings": extraction.warnings,
    }


def _owe_email(
    session: Session,
    *,
    user_id: uuid.UUID,
    kind: Literal["completed", "failed", "expiring"],
    facts: dict[str, Any],
    **about: uuid.UUID,
) -> None:
    user = session.get(User, user_id)
    if user is not None and user.mail:
        notifications.owe_email(
            session, kind=kind, user_id=user.id, recipient=user.email, locale=user.locale, facts=facts, **about
        )
