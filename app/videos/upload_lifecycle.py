"""Every change of a resumable upload: begun, locked by one request after another, grown, finished or given up.

Taking the lock raises its token, and each later write names the token it was given. A request that was overtaken,
because its client was cut off and has come back, finds its token outdated, changes nothing and stops (`UploadLocked`).
So it does not matter which API process a request reaches, nor when one dies: the row says what storage holds.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from app.database import new_id, open_session
from app.settings import get_settings
from app.storage import Storage
from app.videos import queries
from app.videos.errors import UploadFinished, UploadLocked
from app.videos.lifecycle import harmless_name
from app.videos.models import ResumableUpload, UploadPart, Video

LOCK_SECONDS = 5.0
"""A request that brought nothing for so long may be overtaken: perhaps its client was cut off without our seeing it."""


@dataclass(frozen=True)
class Part:
    """A run of an upload's bytes that is in storage."""

    start_byte: int
    size_bytes: int
    object_key: str
    etag: str | None = None
    """Read these very bytes only: somebody else than us can write there."""

    @property
    def end_byte(self) -> int:
        """The first byte behind it."""
        return self.start_byte + self.size_bytes


@dataclass(frozen=True)
class LockedUpload:
    """An upload as the one request that may change it finds it."""

    id: uuid.UUID
    user_id: uuid.UUID
    token: int
    size_bytes: int
    offset_bytes: int
    last_part: Part | None
    is_finished: bool

    @property
    def prefix(self) -> str:
        """The folder of its objects, which becomes the video's."""
        return object_prefix(self.id)


def object_prefix(upload_id: uuid.UUID) -> str:
    """The folder of an upload's objects and of the video it becomes."""
    return f"videos/{upload_id}/"


def begin(
    session: Session,
    *,
    user_id: uuid.UUID,
    filename: str,
    size_bytes: int,
    metadata_header: str,
    plan: dict[str, Any] | None,
) -> ResumableUpload:
    """Note what is about to arrive, and what is asked of it."""
    return session.scalars(
        insert(ResumableUpload)
        .values(
            id=new_id(),
            user_id=user_id,
            filename=harmless_name(filename),
            size_bytes=size_bytes,
            metadata_header=metadata_header,
            plan=plan,
            abandoned_at=_abandoned_at(),
        )
        .returning(ResumableUpload)
    ).one()


def lock(session: Session, upload_id: uuid.UUID, *, user_id: uuid.UUID) -> LockedUpload:
    """Keep all other requests from changing the upload, for as long as this one brings bytes."""
    upload = session.scalars(
        update(ResumableUpload)
        .where(
            ResumableUpload.id == upload_id,
            ResumableUpload.user_id == user_id,
            ResumableUpload.landing_key.is_(None),
            ResumableUpload.abandoned_at > func.now(),
            or_(ResumableUpload.locked_until.is_(None), ResumableUpload.locked_until < func.now()),
        )
        .values(lock_token=ResumableUpload.lock_token + 1, locked_until=_locked_until())
        .returning(ResumableUpload)
    ).one_or_none()
    if upload is None:
        queries.get_upload(session, upload_id, user_id=user_id)
        raise UploadLocked(retry_after_seconds=round(LOCK_SECONDS))
    last = session.scalars(
        select(UploadPart).where(UploadPart.upload_id == upload_id).order_by(UploadPart.start_byte.desc()).limit(1)
    ).one_or_none()
    return LockedUpload(
        id=upload.id,
        user_id=upload.user_id,
        token=upload.lock_token,
        size_bytes=upload.size_bytes,
        offset_bytes=upload.offset_bytes,
        last_part=None if last is None else Part(last.start_byte, last.size_bytes, last.object_key),
        is_finished=upload.finished_at is not None,
    )


def grow(session: Session, upload: LockedUpload, parts: Sequence[Part], *, unlock: bool) -> None:
    """Count parts that are in storage now; without any, only keep the lock or let it go."""
    values: dict[str, Any] = {
        "locked_until": None if unlock else _locked_until(),
        "abandoned_at": _abandoned_at(),
    }
    if parts:
        values["offset_bytes"] = parts[-1].end_byte
    still_ours = (
        update(ResumableUpload)
        # One that was given up stays so: its objects are being removed.
        .where(*_held(upload), ResumableUpload.abandoned_at > func.now())
        .values(values)
        .returning(ResumableUpload.id)
    )
    if session.scalar(still_ours) is None:
        raise UploadLocked(retry_after_seconds=round(LOCK_SECONDS))
    for part in parts:
        values = {"size_bytes": part.size_bytes, "object_key": part.object_key}
        session.execute(
            postgresql.insert(UploadPart)
            .values(upload_id=upload.id, start_byte=part.start_byte, **values)
            # The small last part of the request before is the beginning of this one.
            .on_conflict_do_update(index_elements=["upload_id", "start_byte"], set_=values)
        )


def finish(session: Session, upload: LockedUpload) -> tuple[Video, dict[str, Any] | None]:
    """All bytes are in storage: from now on it is a video, whose parts a worker puts together. Gives also its plan."""
    finished = session.scalars(
        update(ResumableUpload)
        .where(*_held(upload), ResumableUpload.offset_bytes == ResumableUpload.size_bytes)
        .values(finished_at=func.now())
        .returning(ResumableUpload)
    ).one()
    return become_video(session, finished), finished.plan


def become_video(session: Session, finished: ResumableUpload) -> Video:
    """The video of an upload that has just finished."""
    return session.scalars(
        insert(Video)
        .values(
            id=finished.id,
            user_id=finished.user_id,
            filename=finished.filename,
            # Where it will be; the worker that puts it there says so.
            object_key=f"{object_prefix(finished.id)}source",
            size_bytes=finished.size_bytes,
            expires_at=func.now() + timedelta(days=get_settings().retention_days),
        )
        .returning(Video)
    ).one()


def parts_of(session: Session, upload_id: uuid.UUID) -> list[Part]:
    """What is in storage of an upload, in order."""
    found = select(UploadPart).where(UploadPart.upload_id == upload_id).order_by(UploadPart.start_byte)
    return [Part(part.start_byte, part.size_bytes, part.object_key, part.etag) for part in session.scalars(found)]


def give_up(session: Session, upload: LockedUpload) -> None:
    """The user wants it no more; what it has left goes next."""
    if upload.is_finished:
        raise UploadFinished
    session.execute(
        update(ResumableUpload).where(*_held(upload)).values(abandoned_at=func.now(), lock_token=upload.token + 1)
    )


def give_up_all(session: Session, *, user_id: uuid.UUID) -> None:
    """Its user leaves; the hourly round removes what is left."""
    session.execute(
        update(ResumableUpload)
        .where(ResumableUpload.user_id == user_id, ResumableUpload.abandoned_at > func.now())
        .values(abandoned_at=func.now())
    )


def remove(storage: Storage, upload_id: uuid.UUID) -> None:
    """Remove an upload that was given up: objects first, the row last; safe to run twice."""
    storage.delete_prefix(object_prefix(upload_id))
    with open_session() as session:
        session.execute(delete(ResumableUpload).where(ResumableUpload.id == upload_id))


def remove_abandoned(storage: Storage) -> None:
    """Remove the uploads that nobody went on with, and forget those that are videos; safe to run twice."""
    past = (ResumableUpload.abandoned_at < func.now()) & ResumableUpload.landing_key.is_(None)
    with open_session() as session:
        # Where there still are parts, the video is not put together yet.
        has_parts = exists().where(UploadPart.upload_id == ResumableUpload.id)
        session.execute(delete(ResumableUpload).where(past, ResumableUpload.finished_at.is_not(None), ~has_parts))
        abandoned = session.scalars(select(ResumableUpload.id).where(past, ResumableUpload.finished_at.is_(None))).all()
    for upload_id in abandoned:
        remove(storage, upload_id)


def _held(upload: LockedUpload) -> tuple[ColumnElement[bool], ...]:
    return ResumableUpload.id == upload.id, ResumableUpload.lock_token == upload.token


def _locked_until() -> ColumnElement[Any]:
    return func.now() + timedelta(seconds=LOCK_SECONDS)


def _abandoned_at() -> ColumnElement[Any]:
    return func.now() + timedelta(hours=get_settings().upload_resumable_hours)
