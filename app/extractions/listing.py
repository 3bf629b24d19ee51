"""A user's videos page by page: in a state, with a word in their name, newest first."""

import base64
import binascii
import datetime
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import CompoundSelect, Select, select, tuple_, union_all
from sqlalchemy.orm import Session, aliased

from app.errors import Invalid
from app.extractions import queries
from app.extractions.models import Extraction
from app.extractions.states import VideoState, VideoStatus
from app.videos.models import Video


class BadCursor(Invalid):
    """The cursor is none that was given out here; begin without one."""

    code = "BAD_CURSOR"


@dataclass(frozen=True)
class Page:
    """Some of a user's videos, newest first."""

    items: Sequence[VideoState]
    next_cursor: str | None
    """Where the next page begins; None on the last."""


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
        if status in (VideoStatus.COMPLETED, VideoStatus.READY):
            # Most are, of all or of those that nothing was asked of. Said this way round the database expects so, and
            # looks at the newest until a page is full.
            which.append(queries.video_status.not_in([other for other in VideoStatus if other != status]))
            if status == VideoStatus.READY:
                which.append(Video.asked_at.is_(None))
        else:
            # The few others are not looked for among them all.
            which += [queries.video_status == status, Video.id.in_(_perhaps(status, user_id=user_id))]
    if cursor is not None:
        which.append(tuple_(Video.created_at, Video.id) < _read_cursor(cursor))
    states = queries.video_states(session, *which, limit=limit + 1)
    items = states[:limit]
    return Page(items=items, next_cursor=_cursor(items[-1].video) if len(states) > limit else None)


def _perhaps(status: VideoStatus, *, user_id: uuid.UUID) -> Select[uuid.UUID] | CompoundSelect[uuid.UUID]:
    """Videos that had an extraction in this state, and those that may be in it though nothing was asked of them."""
    asked = aliased(Extraction)
    in_state = select(asked.video_id).where(asked.user_id == user_id, asked.status == status)
    unasked = aliased(Video)
    # Each has few rows, and an index of them.
    which = {
        VideoStatus.FAILED: unasked.error_code.is_not(None),
        VideoStatus.PENDING: unasked.probed_at.is_(None),
    }.get(status)
    if which is None:
        return in_state
    return union_all(
        in_state, select(unasked.id).where(unasked.user_id == user_id, unasked.deleted_at.is_(None), which)
    )


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
