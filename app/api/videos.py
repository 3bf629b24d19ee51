"""Videos: what becomes of them, their archives, their end."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app import audit
from app.api import archives
from app.api.dependencies import CurrentUser, CurrentVideo, SessionDep, StorageDep, look
from app.api.error_responses import documented
from app.api.object_responses import object_response
from app.api.schemas import LinkView, VideoPage, VideoView
from app.extractions import lifecycle, listing
from app.extractions import queries as extractions
from app.extractions.errors import ArchiveExpired, NothingReady, NotProbed
from app.extractions.listing import BadCursor, Page
from app.extractions.states import VideoState, VideoStatus
from app.storage import SignedUrl
from app.videos.errors import VideoNotFound

router = APIRouter(prefix="/videos", tags=["videos"], responses=documented(VideoNotFound))

# Of what browsers can play, by a name of the container's; an unknown type they don't even try.
PLAYABLE = {"mp4": "video/mp4", "webm": "video/webm", "ogg": "video/ogg"}


@router.get("/status", response_model=VideoPage, responses=documented(BadCursor))
async def list_videos(
    user: CurrentUser,
    status: Annotated[VideoStatus | None, Query(description="Only those in this state.")] = None,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Videos on a page.")] = 50,
    search: Annotated[str, Query(max_length=255, description="Part of the file's name, whatever its case.")] = "",
) -> Page:
    """Your videos and how far they are, newest first."""
    return await look(listing.list_videos, user_id=user.id, status=status, cursor=cursor, limit=limit, search=search)


@router.get("/{video_id}", response_model=VideoView)
async def get_video(video_id: uuid.UUID, user: CurrentUser) -> VideoState:
    """One video and how far it is."""
    return await look(extractions.video_state, video_id, user_id=user.id)


@router.get(
    "/{video_id}/source",
    response_class=Response,
    responses={200: {"content": {"video/*": {}}}, **documented(NotProbed, ArchiveExpired)},
)
def get_source(video: CurrentVideo, session: SessionDep, storage: StorageDep, request: Request) -> Response:
    """The video's own bytes as they were sent, for a player or a copy; parts of them by `Range`."""
    if video.media is None:
        raise NotProbed
    containers = str(video.media["container"]).split(",")
    content_type = next((PLAYABLE[name] for name in containers if name in PLAYABLE), "application/octet-stream")
    try:
        response = object_response(
            storage, video.object_key, filename=video.filename, content_type=content_type, request=request
        )
    except FileNotFoundError:
        raise ArchiveExpired from None
    thing = {"video_id": str(video.id), "filename": video.filename}
    archives.note_download(session, "video_downloaded", response, user_id=video.user_id, **thing)
    return response


@router.get(
    "/download/{video_id}",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}}, **documented(NothingReady, ArchiveExpired)},
)
def download(
    video: CurrentVideo, session: SessionDep, user: CurrentUser, storage: StorageDep, request: Request
) -> Response:
    """The frames as a ZIP: those of the newest extraction that is COMPLETED. A download that broke off can be resumed
    (`Range`)."""
    archive = extractions.newest_archive(session, video)
    return archives.archive_response(storage, archive, request=request, session=session, user=user)


@router.get("/{video_id}/download-url", response_model=LinkView, responses=documented(NothingReady, ArchiveExpired))
def get_download_url(video: CurrentVideo, session: SessionDep, user: CurrentUser, storage: StorageDep) -> SignedUrl:
    """A link to the same ZIP that needs no login and works for a limited time."""
    archive = extractions.newest_archive(session, video)
    return archives.archive_link(storage, archive, session=session, user=user)


@router.delete("/{video_id}", status_code=204)
def delete_video(video: CurrentVideo, session: SessionDep) -> None:
    """Delete a video, its archives and all that is known of it; a running extraction is cancelled."""
    lifecycle.withdraw(session, video)
    audit.record(session, "video_deleted", user_id=video.user_id, video_id=str(video.id), filename=video.filename)
