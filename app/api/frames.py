"""The frames of an extraction: rows, pictures, thumbnails, and a choice of them as a ZIP."""

import hashlib
import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from app import audit
from app.api.dependencies import CurrentUser, SessionDep, StorageDep
from app.api.error_responses import documented
from app.api.object_responses import HARMLESS, ClosingResponse, has_it
from app.api.schemas import FramePage
from app.extractions import selection
from app.extractions.errors import (
    ArchiveExpired,
    ExtractionNotFound,
    FrameNotFound,
    FrameNotReady,
    FramesDropped,
    NothingReady,
)
from app.extractions.frames import FrameReader, Page
from app.storage.attachments import attachment
from fotograma.plan import ImageFormat

router = APIRouter(
    prefix="/extractions/{extraction_id}",
    tags=["frames"],
    responses=documented(ExtractionNotFound, ArchiveExpired, FramesDropped),
)

CONTENT_TYPES: dict[ImageFormat, str] = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
}
# Its bytes stay, so that a browser need not ask again for a day; another user of that browser must.
CACHED = {"Cache-Control": "private, max-age=86400, immutable", "Vary": "Authorization, Cookie"}
MANIFESTS = {"json": "application/json", "csv": "text/csv; charset=utf-8"}
# Their rows are in memory while they are sent, which this many make some tens of megabytes.
MOST_SELECTED = 20_000
# More than any extraction has, and less than what a database or an offset can't hold.
SEQUENCES_BELOW = 2**31


def get_frames(extraction_id: uuid.UUID, storage: StorageDep, user: CurrentUser) -> FrameReader:
    """The frames of the extraction that the path names, or 404."""
    return FrameReader(storage, extraction_id, user_id=user.id)


CurrentFrames = Annotated[FrameReader, Depends(get_frames)]
SequenceInPath = Annotated[int, Path(ge=0, lt=SEQUENCES_BELOW, description="The frame's `sequence`.")]


class Selected(BaseModel):
    """Which frames."""

    sequences: list[Annotated[int, Field(ge=0, lt=SEQUENCES_BELOW)]] = Field(
        min_length=1, max_length=MOST_SELECTED, description="In any order.", examples=[[0, 4, 5]]
    )


def _images(*content_types: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": "The picture.", "content": {content_type: {} for content_type in content_types}},
        304: {"description": "You have it already (`If-None-Match`)."},
        **documented(ExtractionNotFound, FrameNotFound, FrameNotReady),
    }


@router.get("/frames", response_model=FramePage)
def list_frames(
    frames: CurrentFrames,
    cursor: Annotated[int, Query(ge=0, lt=SEQUENCES_BELOW, description="The `sequence` to begin with.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Frames on a page.")] = 100,
) -> Page:
    """The frames that are there, in order of time. While the extraction runs these are the ones from its beginning up
    to the first part that is not finished, and a page at their end may be short or empty: ask for `next_cursor` again
    in a moment. A frame's `sequence` never changes."""
    return frames.page(first=cursor, limit=limit)


@router.get("/frames/{sequence}", response_class=Response, responses=_images(*CONTENT_TYPES.values()))
def get_picture(frames: CurrentFrames, sequence: SequenceInPath, request: Request) -> Response:
    """One frame in its full size, as it is in the archive."""
    picture = frames.picture(sequence)
    headers = {
        "Content-Disposition": f'inline; filename="{picture.name}"',
        "Content-Length": str(picture.size_bytes),
        "ETag": f'"{picture.sha256}"',
        **CACHED,
        **HARMLESS,
    }
    if has_it(request.headers.get("If-None-Match", ""), etag=headers["ETag"]):
        picture.chunks.close()
        del headers["Content-Length"]
        return Response(status_code=304, headers=headers)
    return ClosingResponse(picture.chunks, headers=headers, media_type=CONTENT_TYPES[picture.format])


@router.get("/frames/{sequence}/thumbnail", response_class=Response, responses=_images("image/jpeg"))
def get_thumbnail(frames: CurrentFrames, sequence: SequenceInPath, request: Request) -> Response:
    """One frame as a JPEG of at most 160 pixels a side, whatever the plan's format."""
    thumbnail = frames.thumbnail(sequence)
    headers = {"ETag": f'"{hashlib.sha256(thumbnail).hexdigest()}"', **CACHED, **HARMLESS}
    if has_it(request.headers.get("If-None-Match", ""), etag=headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(thumbnail, headers=headers, media_type="image/jpeg")


@router.get(
    "/manifest.{kind}",
    response_class=Response,
    responses={
        200: {"content": {content_type: {} for content_type in MANIFESTS.values()}},
        **documented(ExtractionNotFound, NothingReady),
    },
)
def get_manifest(frames: CurrentFrames, kind: Literal["json", "csv"]) -> Response:
    """The archive's manifest by itself: what it is of, which plan, and all frames."""
    manifest = frames.manifest(f"manifest.{kind}")
    headers = {
        "Cache-Control": "private",
        "Content-Disposition": f'inline; filename="{manifest.name}"',
        "Content-Length": str(manifest.size_bytes),
        **HARMLESS,
    }
    return ClosingResponse(manifest.chunks, headers=headers, media_type=MANIFESTS[kind])


@router.post(
    "/selection",
    response_class=Response,
    responses={
        200: {"content": {"application/zip": {}}},
        **documented(ExtractionNotFound, FrameNotFound, FrameNotReady),
    },
)
def select_frames(frames: CurrentFrames, selected: Selected, session: SessionDep, user: CurrentUser) -> Response:
    """These frames as a ZIP with a manifest of their own, byte for byte as they are in the archive."""
    chosen = selection.select_frames(frames, selected.sequences)
    audit.record(session, "selection_downloaded", user_id=user.id, name=chosen.name, frames=len({*selected.sequences}))
    headers = {
        "Cache-Control": "private",
        "Content-Disposition": attachment(chosen.name),
        "Content-Length": str(chosen.size_bytes),
        **HARMLESS,
    }
    return ClosingResponse(chosen.chunks, headers=headers, media_type="application/zip")
