"""Uploads in several requests, which survive a cut, by tus 1.0 (https://tus.io/protocols/resumable-upload)."""

import uuid
from functools import partial

from anyio import CancelScope
from fastapi import APIRouter, HTTPException, Request, Response

from app.api import tus_headers
from app.api.dependencies import CurrentUser, SessionDep, StorageDep
from app.api.error_responses import documented
from app.api.plans import BadPlan, plan_of_form
from app.api.request_body import batches, in_byte_thread, in_upload_thread
from app.database import open_session
from app.errors import Unauthenticated
from app.extractions import admission
from app.extractions.errors import TooManyWaiting
from app.settings import get_settings
from app.storage import Storage, StorageFull, StorageUnavailable
from app.videos import queries, upload_lifecycle
from app.videos.errors import (
    ChecksumMismatch,
    NoRoomLeft,
    OffsetMismatch,
    UploadExpired,
    UploadFinished,
    UploadLocked,
    UploadNotFound,
    VideoTooLarge,
)
from app.videos.lifecycle import UPLOAD_LONGEST
from app.videos.models import ResumableUpload
from app.videos.parts import Checksum, PartsWriter
from app.videos.upload_lifecycle import LockedUpload
from fotograma.plan import Plan

router = APIRouter(prefix="/uploads", tags=["resumable uploads"], responses=documented(Unauthenticated))


@router.options("/", status_code=204)
def describe(response: Response) -> None:
    """What this server knows of tus."""
    response.headers["Tus-Version"] = tus_headers.VERSION
    response.headers["Tus-Extension"] = tus_headers.EXTENSIONS
    response.headers["Tus-Checksum-Algorithm"] = ",".join(tus_headers.DIGEST_BYTES)
    response.headers["Tus-Max-Size"] = str(get_settings().upload_max_bytes)


@router.post(
    "/",
    status_code=201,
    response_class=Response,
    responses=documented(VideoTooLarge, BadPlan, TooManyWaiting, NoRoomLeft, ChecksumMismatch, StorageFull),
)
async def begin_upload(request: Request, response: Response, user: CurrentUser, storage: StorageDep) -> None:
    """Begin an upload of `Upload-Length` bytes; the first of them may come along.

    `Upload-Metadata` may have `filename`, and `plan` (JSON), `interval` or `extract` as the fields of `/videos/upload`.
    `Location` is where the upload goes on; its id will be the video's.
    """
    if "Upload-Defer-Length" in request.headers:
        raise HTTPException(400, "Say how long the upload will be: Upload-Length.")
    size_bytes = tus_headers.number(request.headers, "Upload-Length")
    header = request.headers.get("Upload-Metadata", "")
    fields = tus_headers.metadata(header)
    brings_bytes = request.headers.get("Content-Type") == tus_headers.BODY_TYPE
    checksum = tus_headers.checksum(request.headers.get("Upload-Checksum")) if brings_bytes else None
    upload = await in_upload_thread(
        _begin,
        user.id,
        filename=fields.get("filename") or fields.get("name") or "",
        size_bytes=size_bytes,
        metadata_header=header,
        plan=plan_of_form(fields, user=user),
    )
    response.headers["Location"] = f"/uploads/{upload.id}"
    if brings_bytes or not size_bytes:
        try:
            await _receive(request, response, storage, await in_upload_thread(_lock, upload.id, user.id), checksum)
        except BaseException:
            # Nobody was told where it is, so that nobody can go on with it.
            with CancelScope(shield=True):
                await in_upload_thread(_terminate, storage, upload.id, user.id)
            raise
    else:
        response.headers["Upload-Expires"] = tus_headers.expires(upload.abandoned_at)


@router.head("/{upload_id}", response_class=Response, responses=documented(UploadNotFound, UploadExpired))
def get_upload(upload_id: uuid.UUID, response: Response, session: SessionDep, user: CurrentUser) -> None:
    """How much of an upload is here for good (`Upload-Offset`)."""
    upload = queries.get_upload(session, upload_id, user_id=user.id)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Upload-Offset"] = str(upload.offset_bytes)
    response.headers["Upload-Length"] = str(upload.size_bytes)
    if upload.metadata_header:
        response.headers["Upload-Metadata"] = upload.metadata_header
    if upload.finished_at is None:
        response.headers["Upload-Expires"] = tus_headers.expires(upload.abandoned_at)
    else:
        _name_video(response, upload.id)


@router.patch(
    "/{upload_id}",
    status_code=204,
    responses=documented(
        UploadNotFound,
        OffsetMismatch,
        UploadExpired,
        VideoTooLarge,
        UploadLocked,
        ChecksumMismatch,
        StorageFull,
        StorageUnavailable,
    ),
)
async def go_on(
    upload_id: uuid.UUID, request: Request, response: Response, user: CurrentUser, storage: StorageDep
) -> None:
    """Send more of an upload, from `Upload-Offset` on; what has come counts, also where the connection breaks.

    The last one answers with the video: `X-Fotograma-Video` is its id, `Content-Location` where it is.
    """
    if request.headers.get("Content-Type") != tus_headers.BODY_TYPE:
        raise HTTPException(415, f"Send the bytes as {tus_headers.BODY_TYPE}.")
    offset_bytes = tus_headers.number(request.headers, "Upload-Offset")
    checksum = tus_headers.checksum(request.headers.get("Upload-Checksum"))
    upload = await in_upload_thread(_lock, upload_id, user.id, at=offset_bytes)
    await _receive(request, response, storage, upload, checksum)


@router.delete("/{upload_id}", status_code=204, responses=documented(UploadNotFound, UploadFinished, UploadLocked))
async def give_up(upload_id: uuid.UUID, user: CurrentUser, storage: StorageDep) -> None:
    """Give an upload up; what was sent of it is removed."""
    await in_upload_thread(_terminate, storage, upload_id, user.id)


def _begin(
    user_id: uuid.UUID, *, filename: str, size_bytes: int, metadata_header: str, plan: Plan | None
) -> ResumableUpload:
    with open_session() as session:
        return admission.begin_upload(
            session,
            user_id=user_id,
            filename=filename,
            size_bytes=size_bytes,
            metadata_header=metadata_header,
            plan=plan,
        )


def _lock(upload_id: uuid.UUID, user_id: uuid.UUID, *, at: int = 0) -> LockedUpload:
    """The upload for this request alone, if it stands where the request goes on."""
    with open_session() as session:
        upload = upload_lifecycle.lock(session, upload_id, user_id=user_id)
        if upload.offset_bytes != at:
            # Raising takes the lock back.
            raise OffsetMismatch(f"The upload stands at {upload.offset_bytes}; go on from there.")
        return upload


async def _receive(
    request: Request, response: Response, storage: Storage, upload: LockedUpload, checksum: Checksum | None
) -> None:
    """Write the body behind what is there; whatever ends it, what has come counts before the lock goes."""
    record = partial(admission.take_parts, upload)
    writer = PartsWriter(storage, upload, record=record, checksum=checksum)
    is_whole = False
    try:
        if int(request.headers.get("Content-Length", 0)) > upload.size_bytes - upload.offset_bytes:
            raise VideoTooLarge("That is more than the Upload-Length which was announced.")
        async for batch in batches(request, longest=UPLOAD_LONGEST):
            await in_byte_thread(writer.write, batch)
        is_whole = True
    finally:
        with CancelScope(shield=True):
            await in_upload_thread(writer.end, is_whole=is_whole)
    response.headers["Upload-Offset"] = str(writer.offset_bytes)
    if writer.offset_bytes == upload.size_bytes:
        _name_video(response, upload.id)
    else:
        response.headers["Upload-Expires"] = tus_headers.expires()


def _terminate(storage: Storage, upload_id: uuid.UUID, user_id: uuid.UUID) -> None:
    with open_session() as session:
        upload_lifecycle.give_up(session, upload_lifecycle.lock(session, upload_id, user_id=user_id))
    upload_lifecycle.remove(storage, upload_id)


def _name_video(response: Response, video_id: uuid.UUID) -> None:
    """It is whole: an upload has the id of the video that it becomes."""
    response.headers["X-Fotograma-Video"] = str(video_id)
    response.headers["Content-Location"] = f"/videos/{video_id}"
