"""Every change of a video: bytes on their way, admitted, probed, buried, gone.

An object in storage always has a row that names it: the upload's before the first byte, the video's from its admission
until the object is removed.
"""

import re
import unicodedata
import uuid
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import Update, delete, func, insert, select, true, update
from sqlalchemy.orm import Session

from app import changes
from app.database import new_id, open_session
from app.settings import get_settings
from app.storage import Storage
from app.videos.errors import UploadAbandoned
from app.videos.models import ResumableUpload, Upload, UploadPart, Video

UPLOAD_LONGEST = timedelta(hours=24)
"""An upload that has not ended by then is broken off."""
# Past the longest upload, so that the bytes of one that is still being written are never removed.
ABANDONED_AFTER = UPLOAD_LONGEST + timedelta(hours=1)

FILENAME_MAX_CHARACTERS = 255
STEM_MAX_CHARACTERS = 100
# Control characters, invisible ones (those that turn the direction of text among them), halves of a surrogate pair and
# line separators: nobody means them in a name, and each deceives somewhere it is shown.
UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def open_upload(session: Session, *, user_id: uuid.UUID, size_bytes: int) -> Upload:
    """Note that bytes are about to arrive, and how many at most."""
    upload_id = new_id()
    upload = Upload(
        id=upload_id,
        user_id=user_id,
        object_key=f"videos/{upload_id}/source",
        size_bytes=size_bytes,
        abandoned_at=func.now() + ABANDONED_AFTER,
    )
    session.add(upload)
    session.flush()
    return upload


def hear(upload_id: uuid.UUID) -> None:
    """Note that bytes still come: for one that died no room is kept."""
    with open_session() as session:
        session.execute(update(Upload).where(Upload.id == upload_id).values(heard_at=func.now()))


def admit(session: Session, upload_id: uuid.UUID, *, filename: str, size_bytes: int, sha256: str) -> Video:
    """The upload's bytes are in storage, whole: from now on it is a video."""
    # The delete is the gate: whoever drops an abandoned upload takes the same row.
    upload = session.scalars(delete(Upload).where(Upload.id == upload_id).returning(Upload)).one_or_none()
    if upload is None:
        raise UploadAbandoned
    return session.scalars(
        insert(Video)
        .values(
            id=upload.id,
            user_id=upload.user_id,
            filename=harmless_name(filename),
            object_key=upload.object_key,
            size_bytes=size_bytes,
            sha256=sha256,
            expires_at=func.now() + timedelta(days=get_settings().retention_days),
        )
        .returning(Video)
    ).one()


def drop_upload(storage: Storage, upload_id: uuid.UUID) -> None:
    """Remove what an upload that failed has left. One that was admitted stays, so this is safe whenever in doubt."""
    with open_session() as session:
        upload = session.scalars(
            select(Upload).where(Upload.id == upload_id).with_for_update(skip_locked=True)
        ).one_or_none()
        if upload is not None:
            storage.delete(upload.object_key)
            session.delete(upload)


def remove_abandoned_uploads(storage: Storage) -> None:
    """Drop the uploads whose process died; safe to run twice."""
    with open_session() as session:
        abandoned = session.scalars(select(Upload.id).where(Upload.abandoned_at < func.now())).all()
    for upload_id in abandoned:
        drop_upload(storage, upload_id)


def announce(session: Session, *, user_id: uuid.UUID, url: str) -> Video:
    """A video that is somewhere else still."""
    video_id = new_id()
    return session.scalars(
        insert(Video)
        .values(
            id=video_id,
            user_id=user_id,
            filename=harmless_name(unquote(urlsplit(url).path)),
            # Where it will be; the worker that puts it there says so.
            object_key=f"videos/{video_id}/source",
            size_bytes=0,
            source_url=url,
            expires_at=func.now() + timedelta(days=get_settings().retention_days),
        )
        .returning(Video)
    ).one()


def record_source(session: Session, video_id: uuid.UUID, *, object_key: str, size_bytes: int, sha256: str) -> None:
    """A worker has put the video's bytes into one object, unless another one has done so before."""
    session.execute(
        update(Video)
        .where(Video.id == video_id, Video.sha256.is_(None))
        .values(object_key=object_key, size_bytes=size_bytes, sha256=sha256)
    )
    session.execute(delete(UploadPart).where(UploadPart.upload_id == video_id))


def record_asked(session: Session, video_id: uuid.UUID) -> None:
    """Frames are asked of the video."""
    session.execute(
        update(Video).where(Video.id == video_id, Video.asked_at.is_(None)).values(asked_at=func.now()),
        execution_options={"synchronize_session": False},
    )


def record_probe(
    session: Session, video_id: uuid.UUID, *, media: dict[str, Any], packet_index: bytes, replace: bool = True
) -> None:
    """Keep what the probe found out; in place of an earlier one only if `replace`."""
    _change(
        session,
        update(Video)
        .where(Video.id == video_id, true() if replace else Video.probed_at.is_(None))
        .values(media=media, packet_index=packet_index, probed_at=func.now(), error_code=None, error_message=None),
    )


def record_probe_failure(session: Session, video_id: uuid.UUID, *, code: str, message: str) -> None:
    """The probe gave up, and nothing else was asked that could tell so."""
    _change(session, update(Video).where(Video.id == video_id).values(error_code=code, error_message=message))


def bury(session: Session, video: Video) -> None:
    """Set the tombstone: gone for its user at once; objects go next, the row last."""
    _change(
        session, update(Video).where(Video.id == video.id, Video.deleted_at.is_(None)).values(deleted_at=func.now())
    )
    # Or it would still tell its client that all is well.
    # Of one whose client may still write to the store the row stays, so that nothing of that is left.
    session.execute(
        delete(ResumableUpload).where(ResumableUpload.id == video.id, ResumableUpload.landing_key.is_(None))
    )


def forget(session: Session, video_id: uuid.UUID) -> None:
    """Remove the row of a buried video whose objects are gone, and all that hangs on it."""
    session.execute(delete(Video).where(Video.id == video_id, Video.deleted_at.is_not(None)))


def _change(session: Session, change: Update) -> None:
    """Change a video, and tell those who watch it."""
    for video_id, user_id in session.execute(change.returning(Video.id, Video.user_id)):
        changes.tell(session, user_id=user_id, video_id=video_id)


def harmless_name(filename: str) -> str:
    """A file's name as its user calls it, without what could mean something elsewhere."""
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", filename))[-1]
    name = "".join(character for character in name if unicodedata.category(character) not in UNPRINTABLE)
    name = name.strip()[:FILENAME_MAX_CHARACTERS].strip()
    return name if name.strip(". ") else "video"


def archive_name(filename: str, *, of: str = "frames") -> str:
    """What the archive of a video is saved as: `holiday.mp4` gives `holiday-frames.zip`."""
    stem = PurePosixPath(filename).stem.strip(". ")[:STEM_MAX_CHARACTERS]
    return f"{stem or 'video'}-{of}.zip"
