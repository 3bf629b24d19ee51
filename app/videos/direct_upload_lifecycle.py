"""Every change of an upload that its client puts straight into the store: begun, finished, given up, removed.

What the client may write to is a landing place, never the video: its signed link still works after the upload was
completed, and no store has a link that works once. So completing pins size and etag, the worker copies those very bytes
to a key that only it can write, and hashes them on the way. The row lives until nothing can land any more, also where
the video is gone before.
"""

import datetime
import uuid
from typing import Any

from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.orm import Session

from app.database import new_id, open_session
from app.settings import get_settings
from app.storage import Landing, ObjectFacts, Storage
from app.videos.errors import UploadExpired, UploadFinished, UploadNotFound
from app.videos.lifecycle import UPLOAD_LONGEST, harmless_name
from app.videos.models import ResumableUpload, UploadPart, Video
from app.videos.upload_lifecycle import become_video, object_prefix


def keep() -> datetime.timedelta:
    """How long a client has for all of it."""
    return datetime.timedelta(hours=get_settings().upload_resumable_hours)


def begin(
    session: Session,
    *,
    user_id: uuid.UUID,
    filename: str,
    size_bytes: int,
    sha256: str | None,
    plan: dict[str, Any] | None,
) -> ResumableUpload:
    """Note what is about to land, before anybody is told where."""
    upload_id = new_id()
    return session.scalars(
        insert(ResumableUpload)
        .values(
            id=upload_id,
            user_id=user_id,
            filename=harmless_name(filename),
            size_bytes=size_bytes,
            metadata_header="",
            plan=plan,
            sha256=sha256,
            landing_key=f"{object_prefix(upload_id)}landing",
            # A link works for no longer than that, and what began by it takes no longer than the longest upload.
            landing_until=func.now() + keep() + UPLOAD_LONGEST,
            abandoned_at=func.now() + keep(),
        )
        .returning(ResumableUpload)
    ).one()


def record_landing(session: Session, upload_id: uuid.UUID, landing: Landing) -> None:
    """Know the store's own upload, so that it can be ended."""
    if landing.is_resumable:
        session.execute(update(ResumableUpload).where(ResumableUpload.id == upload_id).values(session_url=landing.url))


def get(session: Session, upload_id: uuid.UUID, *, user_id: uuid.UUID, lock: bool = False) -> ResumableUpload:
    """The user's direct upload, finished or under way; with `lock` nobody else changes it meanwhile."""
    found = select(ResumableUpload).where(
        ResumableUpload.id == upload_id,
        ResumableUpload.user_id == user_id,
        ResumableUpload.landing_key.is_not(None),
    )
    upload = session.scalars(found.with_for_update() if lock else found).one_or_none()
    if upload is None:
        raise UploadNotFound
    if upload.finished_at is None and upload.abandoned_at <= datetime.datetime.now(datetime.UTC):
        raise UploadExpired
    return upload


def finish(session: Session, upload: ResumableUpload, facts: ObjectFacts) -> Video:
    """All of a locked upload has landed: from now on it is a video, which a worker copies from there."""
    assert upload.landing_key is not None
    upload.finished_at = func.now()
    session.add(
        UploadPart(
            upload_id=upload.id,
            start_byte=0,
            size_bytes=upload.size_bytes,
            object_key=upload.landing_key,
            etag=facts.etag,
        )
    )
    session.flush()
    return become_video(session, upload)


def announced_sha256(session: Session, upload_id: uuid.UUID) -> str | None:
    """What the bytes must hash to, where their client has said so."""
    return session.scalar(select(ResumableUpload.sha256).where(ResumableUpload.id == upload_id))


def give_up(session: Session, upload_id: uuid.UUID) -> None:
    """It is wanted no more, or could not begin; the hourly round removes what has landed."""
    given_up = (
        update(ResumableUpload)
        .where(ResumableUpload.id == upload_id, ResumableUpload.finished_at.is_(None))
        .values(abandoned_at=func.now())
        .returning(ResumableUpload.id)
    )
    if session.scalar(given_up) is None:
        raise UploadFinished


def remove_abandoned(storage: Storage) -> None:
    """Remove what landed without becoming a video, or after it did; safe to run twice."""
    has_parts = exists().where(UploadPart.upload_id == ResumableUpload.id)
    direct = ResumableUpload.landing_key.is_not(None)
    with open_session() as session:
        # Nobody can complete these any more, so that they stay what they are without a lock. Where there are parts, a
        # worker has not copied them yet; a buried video's are removed with it.
        past = select(ResumableUpload.id, ResumableUpload.landing_key, ResumableUpload.session_url).where(
            direct,
            ResumableUpload.abandoned_at < func.now(),
            ~has_parts | ~exists().where(Video.id == ResumableUpload.id, Video.deleted_at.is_(None)),
        )
        abandoned = session.execute(past).all()
    for upload_id, landing_key, session_url in abandoned:
        if session_url is not None:
            storage.end_landing(session_url)
        if landing_key is not None:
            storage.delete(landing_key)
        with open_session() as session:
            session.execute(
                delete(ResumableUpload).where(
                    ResumableUpload.id == upload_id, ResumableUpload.landing_until < func.now()
                )
            )
