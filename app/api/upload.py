"""The upload of a video in one request."""

import hashlib
import time
import uuid

from anyio import CancelScope
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool

from app.accounts.errors import EmailNotConfirmed, TooManyUploads
from app.accounts.models import User
from app.api.dependencies import CurrentUser, StorageDep
from app.api.error_responses import documented
from app.api.multipart import FORM_MAX_BYTES, FieldRepeated, Form, FormTooLarge, NoFile
from app.api.plans import BadPlan, plan_of_form
from app.api.request_body import batches, in_byte_thread, in_upload_thread
from app.api.schemas import VideoView
from app.database import DATABASE_AWAY, open_session
from app.errors import Unauthenticated
from app.extractions import admission
from app.extractions.errors import TooManyWaiting
from app.extractions.states import VideoState
from app.settings import get_settings
from app.storage import ObjectWriter, Storage, StorageFull, StorageUnavailable
from app.videos import lifecycle
from app.videos.errors import NoRoomLeft, TooManyVideos, VideoTooLarge
from app.videos.models import Upload
from app.videos.queries import HEARD_EVERY

router = APIRouter(prefix="/videos", tags=["videos"])

FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "The video."},
        "interval": {
            "type": "string",
            "examples": ["2", "0.5"],
            "description": "One frame each so many seconds; without it or `plan` your `default_plan`, or one a second.",
        },
        "plan": {
            "type": "string",
            "contentMediaType": "application/json",
            "examples": ['{"mode": "every", "seconds": 2, "format": "png"}'],
            "description": "Which frames and how they are written, instead of `interval`.",
        },
        "extract": {
            "type": "string",
            "enum": ["true", "false"],
            "default": "true",
            "description": "`false`: only look at the video; extractions can be asked for later.",
        },
    },
}


@router.post(
    "/upload",
    status_code=202,
    response_model=VideoView,
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FORM}}}},
    responses=documented(
        Unauthenticated,
        VideoTooLarge,
        FormTooLarge,
        NoFile,
        FieldRepeated,
        BadPlan,
        EmailNotConfirmed,
        TooManyUploads,
        TooManyVideos,
        TooManyWaiting,
        NoRoomLeft,
        StorageFull,
        StorageUnavailable,
    ),
)
async def upload_video(request: Request, response: Response, user: CurrentUser, storage: StorageDep) -> VideoState:
    """Upload a video and begin to take frames out of it.

    The fields may come in any order. The file is judged later: what turns out to be no video is FAILED then, not
    refused now.
    """
    form = Form(request.headers.get("Content-Type"))
    upload, room = await in_upload_thread(
        _open, user.id, length=int(request.headers["Content-Length"]) if "Content-Length" in request.headers else None
    )
    try:
        arrival = await _store(request, storage, form, upload=upload, room=room, user=user)
        state = await in_upload_thread(_admit, storage, upload, arrival)
    except DATABASE_AWAY:
        # Its row can't be reached now, and waiting for that would only keep the client: the hourly round drops it.
        raise
    except BaseException:
        with CancelScope(shield=True):
            await in_upload_thread(lifecycle.drop_upload, storage, upload.id)
        raise
    response.headers["Location"] = f"/videos/{state.video.id}"
    return state


class _Arrival:
    """The file on its way into storage: counted, hashed, and refused as soon as it can be."""

    def __init__(self, form: Form, writer: ObjectWriter, *, upload: Upload, room: int, user: User) -> None:
        self.form = form
        self.size_bytes = 0
        self.sha256 = hashlib.sha256()
        self._writer = writer
        self._upload = upload
        self._heard_at = time.monotonic()
        self._room = room
        self._user = user

    def take(self, batch: bytes) -> None:
        """The next piece of the form."""
        data = self.form.feed(batch)
        if not data:
            return
        if not self.size_bytes:
            # Fields that came before the file are told to be wrong before all of it was sent.
            plan_of_form(self.form.fields, user=self._user)
        self.size_bytes += len(data)
        if time.monotonic() - self._heard_at > HEARD_EVERY.total_seconds():
            self._heard_at = time.monotonic()
            lifecycle.hear(self._upload.id)
        if self.size_bytes > get_settings().upload_max_bytes:
            raise VideoTooLarge
        if self.size_bytes > self._room:
            raise NoRoomLeft
        self.sha256.update(data)
        self._writer.write(data)

    def end(self) -> None:
        """The body has ended."""
        self.filename = self.form.end()
        self.plan = plan_of_form(self.form.fields, user=self._user)


def _open(user_id: uuid.UUID, *, length: int | None) -> tuple[Upload, int]:
    """The upload's row and how many bytes it may have."""
    # Of a form its file alone counts, and how much that is will be known only then.
    least = (length or 0) - FORM_MAX_BYTES
    if least > get_settings().upload_max_bytes:
        raise VideoTooLarge
    with open_session() as session:
        upload, room = admission.open_upload(session, user_id=user_id, size_bytes=length)
        if least > room:
            raise NoRoomLeft
        return upload, room


async def _store(request: Request, storage: Storage, form: Form, *, upload: Upload, room: int, user: User) -> _Arrival:
    """Write the file of the form into storage; it is there for good once this returns."""
    writing = storage.open_writer(upload.object_key, content_type="application/octet-stream")
    async with contextmanager_in_threadpool(writing) as writer:
        arrival = _Arrival(form, writer, upload=upload, room=room, user=user)
        async for batch in batches(request, longest=lifecycle.UPLOAD_LONGEST):
            await in_byte_thread(arrival.take, batch)
        arrival.end()
    return arrival


def _admit(storage: Storage, upload: Upload, arrival: _Arrival) -> VideoState:
    if storage.stat(upload.object_key).size_bytes != arrival.size_bytes:
        raise StorageUnavailable("The storage has kept another number of bytes than it was given.")
    with open_session() as session:
        return admission.admit(
            session,
            upload,
            filename=arrival.filename,
            size_bytes=arrival.size_bytes,
            sha256=arrival.sha256.hexdigest(),
            plan=arrival.plan,
        )
