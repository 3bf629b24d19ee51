"""An upload becomes a video, and what was asked of it begins: all of it or nothing."""

import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import lifecycle as accounts
from app.accounts.errors import EmailNotConfirmed
from app.accounts.models import User
from app.accounts.quotas import quotas_of
from app.database import open_session
from app.errors import Unauthenticated
from app.extractions import lifecycle, queries, work_lifecycle
from app.extractions.claims import Claim
from app.extractions.errors import ImportsOff, LeaseLost, TooManyWaiting
from app.extractions.states import ExtractionState, VideoState
from app.outbound import get_outbound
from app.settings import get_settings
from app.storage import Landing, Storage
from app.videos import direct_upload_lifecycle as direct_uploads
from app.videos import lifecycle as videos
from app.videos import queries as video_queries
from app.videos import upload_lifecycle as uploads
from app.videos.errors import (
    DirectUploadOff,
    DirectUploadTooLarge,
    NoRoomLeft,
    TooManyVideos,
    UploadIncomplete,
    VideoTooLarge,
)
from app.videos.models import ResumableUpload, Upload, Video
from app.videos.upload_lifecycle import LockedUpload, Part
from fotograma.errors import FotogramaError
from fotograma.plan import Plan


def open_upload(session: Session, *, user_id: uuid.UUID, size_bytes: int | None) -> tuple[Upload, int]:
    """Begin an upload in one request, if there is room for it; gives it and how large it may become.

    `size_bytes` is what its request has at most; None: it doesn't say, and room is kept for as much as may come.
    """
    user = _let_in(session, user_id)
    room = min(_room_left(session, user), get_settings().upload_max_bytes)
    if room <= 0:
        raise NoRoomLeft
    kept = room if size_bytes is None else min(size_bytes, room)
    return videos.open_upload(session, user_id=user_id, size_bytes=kept), room


def admit(
    session: Session, upload: Upload, *, filename: str, size_bytes: int, sha256: str, plan: Plan | None
) -> VideoState:
    """Make a video of an upload whose bytes are in storage and begin its extraction; without a plan, its probe."""
    user = _hold_user(session, upload.user_id)
    video = videos.admit(session, upload.id, filename=filename, size_bytes=size_bytes, sha256=sha256)
    if _room_left(session, user) < 0:
        raise NoRoomLeft
    return _begin(session, video, plan=plan)


def begin_upload(
    session: Session, *, user_id: uuid.UUID, filename: str, size_bytes: int, metadata_header: str, plan: Plan | None
) -> ResumableUpload:
    """Begin a resumable upload, if there will be room for all of it: that is kept for it until it ends."""
    if size_bytes > get_settings().upload_max_bytes:
        raise VideoTooLarge
    user = _let_in(session, user_id)
    if size_bytes > _room_left(session, user):
        raise NoRoomLeft
    return uploads.begin(
        session,
        user_id=user_id,
        filename=filename,
        size_bytes=size_bytes,
        metadata_header=metadata_header,
        plan=None if plan is None else plan.to_json(),
    )


def take_parts(upload: LockedUpload, parts: Sequence[Part], *, unlock: bool) -> None:
    """Count parts of a resumable upload that are in storage. With the last one it becomes a video, and what was asked
    of it begins: in the same transaction, so that an upload that stands at its end is a video."""
    end_byte = parts[-1].end_byte if parts else upload.offset_bytes
    is_last = end_byte == upload.size_bytes and not upload.is_finished
    with open_session() as session:
        if is_last:
            _hold_user(session, upload.user_id)
        uploads.grow(session, upload, parts, unlock=unlock)
        if is_last:
            video, plan = uploads.finish(session, upload)
            # Whether it may wait was asked when it began; after all those bytes is too late.
            _begin(session, video, plan=None if plan is None else Plan.from_json(plan), may_wait=True)


def direct_upload_max_bytes(storage: Storage) -> int:
    """How large a video may be that goes straight into the store; 0: none may."""
    settings = get_settings()
    return min(storage.landing_max_bytes, settings.upload_max_bytes) if settings.direct_upload else 0


def begin_direct_upload(
    storage: Storage, *, user_id: uuid.UUID, filename: str, size_bytes: int, sha256: str | None, plan: Plan | None
) -> tuple[ResumableUpload, Landing]:
    """Let a client put a video straight into the store, if there will be room for it: that is kept for it."""
    most = direct_upload_max_bytes(storage)
    if not most:
        raise DirectUploadOff
    if size_bytes > get_settings().upload_max_bytes:
        raise VideoTooLarge
    if size_bytes > most:
        raise DirectUploadTooLarge
    with open_session() as session:
        user = _let_in(session, user_id)
        if size_bytes > _room_left(session, user):
            raise NoRoomLeft
        upload = direct_uploads.begin(
            session,
            user_id=user_id,
            filename=filename,
            size_bytes=size_bytes,
            sha256=sha256,
            plan=None if plan is None else plan.to_json(),
        )
    assert upload.landing_key is not None
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(get_settings().public_url))
    # Outside of any transaction: the store may take its time.
    try:
        landing = storage.open_landing(
            upload.landing_key, size_bytes=size_bytes, expires_in=direct_uploads.keep(), origin=origin
        )
    except BaseException:
        with open_session() as session:
            direct_uploads.give_up(session, upload.id)
        raise
    with open_session() as session:
        direct_uploads.record_landing(session, upload.id, landing)
    return upload, landing


def complete_direct_upload(storage: Storage, upload_id: uuid.UUID, *, user_id: uuid.UUID) -> VideoState:
    """Make a video of what has landed and begin what was asked of it; whoever asks again is told of the same video."""
    with open_session() as session:
        upload = direct_uploads.get(session, upload_id, user_id=user_id)
        if upload.finished_at is not None:
            return queries.video_state(session, upload_id, user_id=user_id)
    assert upload.landing_key is not None
    try:
        facts = storage.stat(upload.landing_key)
    except FileNotFoundError:
        raise UploadIncomplete from None
    if facts.size_bytes != upload.size_bytes:
        raise UploadIncomplete(f"The store holds {facts.size_bytes} bytes, {upload.size_bytes} were announced.")
    with open_session() as session:
        user = _hold_user(session, user_id)
        # Of two that complete it at once, the second finds it finished.
        upload = direct_uploads.get(session, upload_id, user_id=user_id, lock=True)
        if upload.finished_at is not None:
            return queries.video_state(session, upload_id, user_id=user_id)
        video = direct_uploads.finish(session, upload, facts)
        if _room_left(session, user) < 0:
            raise NoRoomLeft
        # Whether it may wait was asked when it began, as for those that come through the API.
        return _begin(session, video, plan=None if upload.plan is None else Plan.from_json(upload.plan), may_wait=True)


def begin_import(session: Session, *, user_id: uuid.UUID, url: str, plan: Plan | None) -> VideoState:
    """Make a video of what is at an address; a worker fetches it before anything else is done with it."""
    if not get_settings().import_by_url:
        raise ImportsOff
    # Judged once more for each connection; here so that whoever asks is told.
    get_outbound().check(url)
    user = _let_in(session, user_id)
    if _room_left(session, user) <= 0:
        raise NoRoomLeft
    return _begin(session, videos.announce(session, user_id=user_id, url=url), plan=plan)


def importable_bytes(session: Session, video_id: uuid.UUID) -> int:
    """How large a video that is being imported may become."""
    user = session.scalars(select(User).join(Video, Video.user_id == User.id).where(Video.id == video_id)).one_or_none()
    # Whoever has left has no use for it.
    room = 0 if user is None else _room_left(session, user)
    return min(max(room, 0), get_settings().upload_max_bytes)


def record_source(session: Session, claim: Claim, *, object_key: str, size_bytes: int, sha256: str) -> None:
    """The video's bytes are one object now; the first to say so is believed."""
    # Of two imports that both just fit, the second sees the first; an upload's bytes count since it was begun.
    video = session.scalars(select(Video).where(Video.id == claim.video_id)).one_or_none()
    if video is None:
        raise LeaseLost
    if video.source_url is not None:
        _hold_user(session, video.user_id)
        if size_bytes > importable_bytes(session, video.id):
            raise FotogramaError.of("IMPORT_LIMIT", "there is no room for it any more")
    work_lifecycle.record_source(session, claim, object_key=object_key, size_bytes=size_bytes, sha256=sha256)


def _let_in(session: Session, user_id: uuid.UUID) -> User:
    """Count one more upload of a user, or refuse it, before its first byte."""
    user = _hold_user(session, user_id)
    if get_settings().email_confirmation and not user.email_confirmed:
        raise EmailNotConfirmed
    quotas = quotas_of(user)
    under_way = video_queries.count_uploads(session, user_id=user_id)
    if queries.count_waiting(session, user_id=user_id) + under_way >= quotas.extractions_waiting:
        raise TooManyWaiting(retry_after_seconds=30)
    if video_queries.count_videos(session, user_id=user_id) + under_way >= quotas.videos:
        raise TooManyVideos
    accounts.count_upload(user, most=quotas.uploads_a_day)
    return user


def _room_left(session: Session, user: User) -> int:
    return quotas_of(user).stored_bytes - queries.stored_bytes(session, user_id=user.id)


def _hold_user(session: Session, user_id: uuid.UUID) -> User:
    """The user's row is the gate: of two uploads that both just fit, the second sees the first. Nor can a user who is
    leaving leave a video behind."""
    user = session.scalar(select(User).where(User.id == user_id).with_for_update())
    if user is None:
        raise Unauthenticated
    return user


def _begin(session: Session, video: Video, *, plan: Plan | None, may_wait: bool = False) -> VideoState:
    if plan is None:
        lifecycle.request_probe(session, video)
        return VideoState(video=video, newest=None)
    extraction = lifecycle.request_extraction(session, video, plan=plan, may_wait=may_wait)
    return VideoState(video=video, newest=ExtractionState(extraction=extraction, video=video, frames_done=0))
