"""How videos and extractions look in answers; built from `app.extractions.states`."""

import datetime
import uuid
from typing import Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field

from app.extractions.models import Status
from app.extractions.states import VideoStatus


class ProgressView(BaseModel):
    """How far an extraction is."""

    model_config = ConfigDict(from_attributes=True)

    frames_done: int
    frames_total: int | None = Field(description="What is expected once the video is probed; stays what it is.")
    fraction: float = Field(ge=0, le=1, description="1 only when it is COMPLETED.")
    seconds_left: float | None = Field(description="Until it is COMPLETED, by its pace so far; null when unknown.")


class FailureView(BaseModel):
    """Why there are no frames."""

    model_config = ConfigDict(from_attributes=True)

    code: str = Field(examples=["NOT_A_VIDEO"])
    message: str = Field(description="One sentence for a person: what happened and what to do.")


class WarningView(BaseModel):
    """Something that is told beside the frames."""

    code: str = Field(examples=["TRUNCATED"])
    detail: str


class VideoView(BaseModel):
    """A video with its newest extraction."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(validation_alias=AliasPath("video", "id"))
    filename: str = Field(validation_alias=AliasPath("video", "filename"), examples=["holiday.mp4"])
    bytes: int = Field(validation_alias=AliasPath("video", "size_bytes"))
    status: VideoStatus = Field(description="That of the newest extraction; READY: probed, and nothing was asked yet.")
    progress: ProgressView
    error: FailureView | None = Field(description="Only when it is FAILED.")
    created_at: datetime.datetime = Field(validation_alias=AliasPath("video", "created_at"))
    completed_at: datetime.datetime | None = Field(
        default=None,
        validation_alias=AliasPath("newest", "extraction", "completed_at"),
        description="When the extraction ended, however it ended.",
    )
    expires_at: datetime.datetime = Field(
        validation_alias=AliasPath("video", "expires_at"), description="When video and archives are removed."
    )
    frames: int | None = Field(
        default=None,
        validation_alias=AliasPath("newest", "extraction", "frames"),
        description="Frames in the archive, once it is COMPLETED.",
    )
    archive_bytes: int | None = Field(default=None, validation_alias=AliasPath("newest", "extraction", "archive_bytes"))
    plan: dict[str, Any] | None = Field(default=None, validation_alias=AliasPath("newest", "extraction", "plan"))
    media: dict[str, Any] | None = Field(
        validation_alias=AliasPath("video", "media"), description="What the file says of itself, once it is probed."
    )
    warnings: list[WarningView] = Field(default=[], validation_alias=AliasPath("newest", "extraction", "warnings"))
    extraction_id: uuid.UUID | None = Field(default=None, validation_alias=AliasPath("newest", "extraction", "id"))


class VideoPage(BaseModel):
    """Some videos, newest first."""

    model_config = ConfigDict(from_attributes=True)

    items: list[VideoView]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class ExtractionView(BaseModel):
    """One run of one plan over one video."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(validation_alias=AliasPath("extraction", "id"))
    video_id: uuid.UUID = Field(validation_alias=AliasPath("extraction", "video_id"))
    status: Status = Field(validation_alias=AliasPath("extraction", "status"))
    progress: ProgressView
    error: FailureView | None = Field(description="Only when it is FAILED.")
    created_at: datetime.datetime = Field(validation_alias=AliasPath("extraction", "created_at"))
    completed_at: datetime.datetime | None = Field(
        validation_alias=AliasPath("extraction", "completed_at"), description="When it ended, however it ended."
    )
    expires_at: datetime.datetime = Field(
        validation_alias=AliasPath("video", "expires_at"), description="When video and archives are removed."
    )
    frames: int | None = Field(
        validation_alias=AliasPath("extraction", "frames"), description="Frames in the archive, once it is COMPLETED."
    )
    archive_bytes: int | None = Field(validation_alias=AliasPath("extraction", "archive_bytes"))
    plan: dict[str, Any] = Field(validation_alias=AliasPath("extraction", "plan"))
    warnings: list[WarningView] = Field(validation_alias=AliasPath("extraction", "warnings"))


class FrameView(BaseModel):
    """A row of the manifest."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="Of its file in the archive.", examples=["frame_00h00m02.000s.jpg"])
    sequence: int = Field(description="Its place in the archive, from 0. It is final: no other frame will have it.")
    index: int | None = Field(description="Its place among all frames of the video; null where not all were decoded.")
    pts: int
    time_base: str = Field(examples=["1/12800"])
    time_seconds: float = Field(description="From the first frame of the video.")
    key_frame: bool
    width: int
    height: int
    bytes: int
    sha256: str
    targets: list[float | int | str] = Field(description="The times asked for that it answers.")
    scores: dict[str, float] | None
    md5: str | None


class FramePage(BaseModel):
    """Some frames of an extraction, in order of time."""

    model_config = ConfigDict(from_attributes=True)

    items: list[FrameView]
    next_cursor: int | None = Field(
        description="Send it as `cursor` for what follows, which may still be missing; null once nothing will follow."
    )
    frames_ready: int = Field(description="How many frames there are by now.")
    frames_total: int | None = Field(description="How many to expect, where that is known.")
    complete: bool = Field(description="Whether these are all.")


class EstimateView(BaseModel):
    """What an extraction would give, before anything is decoded."""

    model_config = ConfigDict(from_attributes=True)

    frames: int | None = Field(description="Null where only the pictures tell: `scenes`, `best` and `dedupe`.")
    bytes: int | None = Field(description="Of the archive, by a rule of thumb; null where `frames` is.")
    seconds: float = Field(description="Of one core, by a rule of thumb.")
    times: list[float] = Field(description="Of the first 1000 frames, in seconds from the first frame of the video.")


class LinkView(BaseModel):
    """A link that needs no login."""

    model_config = ConfigDict(from_attributes=True)

    url: str
    expires_at: datetime.datetime
