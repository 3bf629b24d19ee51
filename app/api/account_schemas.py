"""How accounts look in answers."""

import datetime
import uuid
from typing import Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field

from app.accounts.models import Role


class UserView(BaseModel):
    """An account as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    email: str
    email_confirmed: bool = Field(description="Whether the address was shown to be the user's.")
    role: Role
    locale: str = Field(description="Language of e-mails.")
    time_zone: str = Field(description="By its IANA name.", examples=["America/Sao_Paulo"])
    mail: bool = Field(description="Whether the outcome of extractions is mailed.")
    default_plan: dict[str, Any] | None = Field(description="For uploads that say nothing of frames.")
    created_at: datetime.datetime


class UsageView(BaseModel):
    """What of a user's share is taken."""

    model_config = ConfigDict(from_attributes=True)

    stored_bytes: int = Field(description="Of videos and archives, uploads under way included.")
    stored_max_bytes: int = Field(validation_alias=AliasPath("quotas", "stored_bytes"))
    videos: int
    videos_max: int = Field(validation_alias=AliasPath("quotas", "videos"))
    extractions_running: int
    extractions_running_max: int = Field(validation_alias=AliasPath("quotas", "extractions_running"))
    extractions_waiting: int
    extractions_waiting_max: int = Field(validation_alias=AliasPath("quotas", "extractions_waiting"))
    uploads_today: int = Field(description="Since midnight, UTC.")
    uploads_a_day_max: int = Field(validation_alias=AliasPath("quotas", "uploads_a_day"))
    upload_max_bytes: int = Field(description="Largest upload that is taken.")
    direct_upload_max_bytes: int = Field(
        description="Largest one that may go straight into the store, by `POST /videos/upload-url`; 0: none may."
    )


class AuditEntry(BaseModel):
    """One act."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    at: datetime.datetime
    action: str = Field(examples=["signed_in", "key_made", "archive_downloaded"])
    address: str | None = Field(description="Where it was asked from; null: on the machine of the service itself.")
    detail: dict[str, Any]


class AuditPage(BaseModel):
    """Some acts, newest first."""

    model_config = ConfigDict(from_attributes=True)

    items: list[AuditEntry]
    next_cursor: uuid.UUID | None = Field(description="Send it as `cursor` for the next page; null on the last.")
