"""Uploads that go straight to the store, where it is a cloud's and operators have switched that on."""

import datetime
import uuid
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.api.dependencies import CurrentUser, SessionDep, StorageDep
from app.api.error_responses import documented
from app.api.plans import BadPlan, default_plan, plan_of_json
from app.api.schemas import VideoView
from app.errors import Unauthenticated
from app.extractions import admission
from app.extractions.errors import TooManyWaiting
from app.extractions.states import VideoState
from app.storage import StorageUnavailable
from app.videos import direct_upload_lifecycle
from app.videos.errors import (
    DirectUploadOff,
    DirectUploadTooLarge,
    NoRoomLeft,
    UploadExpired,
    UploadFinished,
    UploadIncomplete,
    UploadNotFound,
    VideoNotFound,
    VideoTooLarge,
)

router = APIRouter(prefix="/videos", tags=["direct uploads"], responses=documented(Unauthenticated))


class DirectUpload(BaseModel):
    """What is about to be sent, and which frames of it."""

    filename: Annotated[str, Field(max_length=1024, examples=["holiday.mp4"])]
    bytes: Annotated[int, Field(gt=0, le=2**62, description="How many it has, to the last.")]
    sha256: Annotated[
        str | None,
        Field(pattern="^[0-9a-f]{64}$", description="Of all of it; other bytes become no extraction."),
    ] = None
    plan: dict[str, Any] | None = Field(
        default=None,
        description="Which frames and how they are written; without it your `default_plan`, or one frame a second.",
        examples=[{"mode": "every", "seconds": 2}],
    )
    extract: bool = Field(default=True, description="`false`: only look at the video.")


class DirectUploadView(BaseModel):
    """Where to send the bytes."""

    id: uuid.UUID = Field(description="Will be the video's.")
    url: str = Field(description="Send the bytes here by PUT, without your login. Whoever knows it may.")
    headers: dict[str, str] = Field(description="Which the PUT must have.")
    resumable: bool = Field(
        description="Whether it takes pieces (`Content-Range`; an empty one with `bytes */TOTAL` asks where it "
        "stands); otherwise all in one PUT, which is sent again as a whole after a cut."
    )
    expires_at: datetime.datetime


@router.post(
    "/upload-url",
    status_code=201,
    response_model=DirectUploadView,
    responses=documented(
        DirectUploadOff,
        VideoTooLarge,
        DirectUploadTooLarge,
        BadPlan,
        TooManyWaiting,
        NoRoomLeft,
        StorageUnavailable,
    ),
)
def begin_direct_upload(asked: DirectUpload, user: CurrentUser, storage: StorageDep) -> DirectUploadView:
    """Get an address in the store to send a video to, past this API; then `POST /videos/{id}/complete`.

    Operators switch this on by `DIRECT_UPLOAD`; elsewhere, and for what is too large for one PUT, use `/uploads/`.
    """
    plan = None
    if asked.extract:
        plan = default_plan(user) if asked.plan is None else plan_of_json(asked.plan)
    upload, landing = admission.begin_direct_upload(
        storage,
        user_id=user.id,
        filename=asked.filename,
        size_bytes=asked.bytes,
        sha256=asked.sha256,
        plan=plan,
    )
    return DirectUploadView(
        id=upload.id,
        url=landing.url,
        headers=landing.headers,
        resumable=landing.is_resumable,
        expires_at=landing.expires_at,
    )


@router.post(
    "/{upload_id}/complete",
    status_code=202,
    response_model=VideoView,
    responses=documented(
        UploadNotFound, VideoNotFound, UploadIncomplete, UploadExpired, NoRoomLeft, StorageUnavailable
    ),
)
def complete_direct_upload(upload_id: uuid.UUID, user: CurrentUser, storage: StorageDep) -> VideoState:
    """Say that all bytes are in the store: from now on it is a video like any other. To say so twice is safe."""
    return admission.complete_direct_upload(storage, upload_id, user_id=user.id)


@router.delete(
    "/upload-url/{upload_id}", status_code=204, responses=documented(UploadNotFound, UploadExpired, UploadFinished)
)
def give_direct_upload_up(upload_id: uuid.UUID, session: SessionDep, user: CurrentUser) -> None:
    """Give a direct upload up; no room is kept for it any more, and what has come of it is removed within hours."""
    upload = direct_upload_lifecycle.get(session, upload_id, user_id=user.id)
    direct_upload_lifecycle.give_up(session, upload.id)
