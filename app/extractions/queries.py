"""Every read of extractions, and of videos as their extractions make them look; each names the owner."""

import base64
import binascii
import datetime
import enum
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Row, Select, case, exists, func, select, true, tuple_, union_all
from sqlalchemy.orm import Session, aliased

from app.errors import Invalid
from app.extractions import progress
from app.extractions.errors import ArchiveExpired, ExtractionNotFound, NothingReady, NotProbed
from app.extractions.models import Extraction, Segment, Status, Step
from app.videos import queries as videos
from app.videos.errors import VideoNotFound
from app.videos.lifecycle import archive_name
from app.videos.models import Video
from fotograma.estimate import Estimate, estimate
from fotograma.packets import PacketIndex
from fotograma.plan import Plan


class VideoStatus(enum.StrEnum):
    """That of the newest extraction; without one, what the probe says."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    READY = "READY"
    """Probed, and nothing was asked yet."""


class BadCursor(Invalid):
    """The cursor is none that was given out here; begin without one."""

    code = "BAD_CURSOR"


@dataclass(frozen=True)
class Progress:
    """How far an extraction is."""

    frames_done: int = 0
    frames_total: int | None = None
    """Known once the video is probed."""
    fraction: float = 0.0
    """1 only when it is COMPLETED."""
    seconds_left: float | None = None
    """None where it is not known."""


@dataclass(frozen=True)
class Failure:
    """Why there are no frames."""

    code: str
    message: str


@dataclass(frozen=True)
class ExtractionState:
    """An extraction as its owner sees it."""

    extraction: Extraction
    video: Video
    frames_done: int
    """By its segments."""
    seconds_left: float | None = None

    @property
    def progress(self) -> Progress:
        """How far it is; never more done than there is, and never less than was told before."""
        total = self.extraction.frames_total
        if self.extraction.status == Status.COMPLETED:
            # A damaged video may give fewer than its index promised, and than its parts had given one by one.
            done = max(self.frames_done, self.extraction.frames or 0)
            return Progress(frames_done=done if total is None else min(done, total), frames_total=total, fraction=1.0)
        if not total:
            return Progress(frames_done=self.frames_done, frames_total=total)
        done = min(self.frames_done, total)
        return Progress(
            frames_done=done,
            frames_total=total,
            fraction=min(done / total, 0.99),
            seconds_left=self.seconds_left,
        )

    @property
    def error(self) -> Failure | None:
        """Why it FAILED."""
        return _failure(self.extraction)


@dataclass(frozen=True)
class VideoState:
    """A video with its newest extraction, as its owner sees both."""

    video: Video
    newest: ExtractionState | None

    @property
    def status(self) -> VideoStatus:
        """One word for both."""
        if self.newest is not None:
            return VideoStatus(self.newest.extraction.status)
        if self.video.error_code is not None:
            return VideoStatus.FAILED
        return VideoStatus.PENDING if self.video.probed_at is None else VideoStatus.READY

    @property
    def progress(self) -> Progress:
        """How far the newest extraction is."""
        return Progress() if self.newest is None else self.newest.progress

    @property
    def error(self) -> Failure | None:
        """Why it is FAILED."""
        return _failure(self.video) if self.newest is None else self.newest.error


@dataclass(frozen=True)
class Page:
    """Some of a user's videos, newest first."""

    items: Sequence[VideoState]
    next_cursor: str | None
    """Where the next page begins; None on the last."""


@dataclass(frozen=True)
class ReadyArchive:
    """A finished ZIP that may be downloaded."""

    key: str
    name: str
    expires_at: datetime.datetime


def video_state(session: Session, video_id: uuid.UUID, *, user_id: uuid.UUID) -> VideoState:
    """The user's video as it stands."""
    states = video_states(session, Video.user_id == user_id, Video.id == video_id)
    if not states:
        raise VideoNotFound
    return states[0]


def video_states(session: Session, *which: ColumnElement[bool], limit: int | None = None) -> list[VideoState]:
    """Videos as they stand, newest first; `which` names their owners."""
    rows = session.execute(_video_states().where(*which).order_by(*_NEWEST_FIRST).limit(limit))
    return [_video_state(row) for row in rows]


def list_videos(
    session: Session,
    *,
    user_id: uuid.UUID,
    status: VideoStatus | None,
    cursor: str | None,
    limit: int,
    search: str = "",
) -> Page:
    """A page of the user's videos; with `search` only those whose name has it somewhere, whatever its case."""
    which = [Video.user_id == user_id]
    if search:
        which.append(Video.filename.regexp_match(_whatever_case(search)))
    if status is not None:
        which.append(_status == status)
        if status != VideoStatus.COMPLETED:
            # Most are COMPLETED, so that the few others are not looked for among them all.
            which.append(Video.id.in_(_perhaps(status, user_id=user_id)))
    if cursor is not None:
        which.append(tuple_(Video.created_at, Video.id) < _read_cursor(cursor))
    states = video_states(session, *which, limit=limit + 1)
    items = states[:limit]
    return Page(items=items, next_cursor=_cursor(items[-1].video) if len(states) > limit else None)


def extraction_state(session: Session, extraction_id: uuid.UUID, *, user_id: uuid.UUID) -> ExtractionState:
    """The user's extraction as it stands."""
    row = session.execute(_extraction_states(user_id).where(Extraction.id == extraction_id)).one_or_none()
    if row is None:
        raise ExtractionNotFound
    return _extraction_state(row)


def list_extractions(session: Session, video: Video) -> list[ExtractionState]:
    """All extractions of a video, newest first."""
    states = _extraction_states(video.user_id).where(Extraction.video_id == video.id)
    rows = session.execute(states.order_by(Extraction.created_at.desc(), Extraction.id.desc())).all()
    return [_extraction_state(row) for row in rows]


def estimate_extraction(video: Video, *, plan: Plan) -> Estimate:
    """What a plan would give of a video that is probed."""
    if video.media is None or video.packet_index is None:
        raise NotProbed
    if plan.stream not in (None, video.media["stream"]):
        raise NotProbed("Only the stream that was looked at can be estimated.")
    return estimate(plan, PacketIndex.from_bytes(video.packet_index), video.media)


def newest_archive(session: Session, video: Video) -> ReadyArchive:
    """The archive of the newest COMPLETED extraction of a video."""
    extraction = session.scalars(
        select(Extraction)
        .where(Extraction.video_id == video.id, Extraction.status == Status.COMPLETED)
        .order_by(Extraction.created_at.desc(), Extraction.id.desc())
        .limit(1)
    ).one_or_none()
    return _ready_archive(extraction, video)


def archive_of(session: Session, extraction_id: uuid.UUID, *, user_id: uuid.UUID) -> ReadyArchive:
    """The archive of the user's extraction."""
    state = extraction_state(session, extraction_id, user_id=user_id)
    return _ready_archive(state.extraction, state.video)


def count_waiting(session: Session, *, user_id: uuid.UUID) -> int:
    """How many of the user's extractions nobody has begun."""
    waiting = Extraction.user_id == user_id, Extraction.status == Status.PENDING
    return session.scalar(select(func.count()).where(*waiting)) or 0


def stored_bytes(session: Session, *, user_id: uuid.UUID) -> int:
    """What the user's videos and archives take."""
    archives = (
        select(func.sum(Extraction.archive_bytes))
        .join(Video, Video.id == Extraction.video_id)
        # Of both, so that two indexes tell all.
        .where(Extraction.user_id == user_id, Video.user_id == user_id, Video.deleted_at.is_(None))
    )
    return videos.stored_bytes(session, user_id=user_id) + int(session.scalar(archives) or 0)


def _frames_done(extraction_id: Any) -> Any:
    return (
        select(func.coalesce(func.sum(Segment.frames_done), 0))
        .where(Segment.extraction_id == extraction_id, Segment.step == Step.FRAMES)
        .scalar_subquery()
    )


_newest_rows = (
    select(Extraction)
    .where(Extraction.video_id == Video.id)
    .order_by(Extraction.created_at.desc(), Extraction.id.desc())
    .limit(1)
    .lateral("newest")
)
_newest = aliased(Extraction, _newest_rows)
# `VideoState.status` in SQL.
_status = func.coalesce(
    _newest.status,
    case(
        (Video.error_code.is_not(None), VideoStatus.FAILED),
        (Video.probed_at.is_(None), VideoStatus.PENDING),
        else_=VideoStatus.READY,
    ),
)


_NEWEST_FIRST = Video.created_at.desc(), Video.id.desc()


def _perhaps(status: VideoStatus, *, user_id: uuid.UUID) -> Select[uuid.UUID] | CompoundSelect[uuid.UUID]:
    """Videos that had an extraction in this state, and those that may be in it though nothing was asked of them."""
    asked = aliased(Extraction)
    in_state = select(asked.video_id).where(asked.user_id == user_id, asked.status == status)
    unasked = aliased(Video)
    # Each of the first two has few rows, and an index of them.
    which = {
        VideoStatus.FAILED: unasked.error_code.is_not(None),
        VideoStatus.PENDING: unasked.probed_at.is_(None),
        VideoStatus.READY: ~exists().where(asked.user_id == user_id, asked.video_id == unasked.id),
    }.get(status)
    if which is None:
        return in_state
    return union_all(
        in_state, select(unasked.id).where(unasked.user_id == user_id, unasked.deleted_at.is_(None), which)
    )


def _video_states() -> Select[Video, Extraction | None, int, Any]:
    return (
        select(Video, _newest, _frames_done(_newest.id), progress.parts_of(_newest))
        .outerjoin(_newest_rows, true())
        .where(Video.deleted_at.is_(None))
    )


def _video_state(row: Row[Video, Extraction | None, int, Any]) -> VideoState:
    video, extraction, frames_done, parts = row
    if extraction is None:
        return VideoState(video=video, newest=None)
    newest = ExtractionState(extraction, video, frames_done=frames_done, seconds_left=progress.seconds_left(parts))
    return VideoState(video=video, newest=newest)


def _extraction_states(user_id: uuid.UUID) -> Select[Extraction, Video, int, Any]:
    return (
        select(Extraction, Video, _frames_done(Extraction.id), progress.parts_of(Extraction))
        .join(Video, Video.id == Extraction.video_id)
        .where(Video.user_id == user_id, Video.deleted_at.is_(None))
    )


def _extraction_state(row: Row[Extraction, Video, int, Any]) -> ExtractionState:
    extraction, video, frames_done, parts = row
    return ExtractionState(extraction, video, frames_done=frames_done, seconds_left=progress.seconds_left(parts))


def _failure(failed: Video | Extraction) -> Failure | None:
    return None if failed.error_code is None else Failure(code=failed.error_code, message=failed.error_message or "")


def _ready_archive(extraction: Extraction | None, video: Video) -> ReadyArchive:
    if extraction is None or extraction.archive_key is None:
        raise NothingReady
    if video.expires_at <= datetime.datetime.now(datetime.UTC):
        raise ArchiveExpired
    return ReadyArchive(key=extraction.archive_key, name=archive_name(video.filename), expires_at=video.expires_at)


def _whatever_case(text: str) -> str:
    """A pattern for a text in which each letter may be large or small. A database may know that of ASCII alone."""
    # Names are kept in this form.
    return "".join(_letter(sign) for sign in unicodedata.normalize("NFC", text))


def _letter(sign: str) -> str:
    cases = {form for form in (sign, sign.lower(), sign.upper()) if len(form) == 1}
    if len(cases) > 1:
        return f"[{''.join(sorted(cases))}]"
    return f"\\{sign}" if sign.isascii() and not sign.isalnum() else sign


def _cursor(video: Video) -> str:
    return base64.urlsafe_b64encode(f"{video.created_at.isoformat()} {video.id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime.datetime, uuid.UUID]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        created_at, _, video_id = text.partition(" ")
        moment = datetime.datetime.fromisoformat(created_at)
        if moment.tzinfo is None:
            raise BadCursor
        return moment, uuid.UUID(video_id)
    except (binascii.Error, ValueError):
        raise BadCursor from None
