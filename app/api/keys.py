"""API keys: for programs, which do not sign in."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FutureDatetime

from app.accounts import key_lifecycle, queries
from app.accounts.credentials import Scope
from app.accounts.errors import KeyNotFound, ScopeMissing, TooManyKeys
from app.accounts.models import ApiKey
from app.api.dependencies import AccountHolder, SessionDep, keep_out_of_caches
from app.api.error_responses import documented
from app.errors import Unauthenticated

router = APIRouter(
    prefix="/auth/keys",
    tags=["auth"],
    dependencies=[Depends(keep_out_of_caches)],
    responses=documented(Unauthenticated, ScopeMissing),
)


class NewKey(BaseModel):
    """What a key is for."""

    name: Annotated[str, Field(min_length=1, max_length=100, examples=["nightly import"])]
    scopes: list[Scope] = Field(
        min_length=1,
        max_length=10,
        description="`read`: look at and download what is there. `write`: upload, extract, cancel, delete. `account`: "
        "the account itself, its keys, and what admins may.",
    )
    expires_at: Annotated[AwareDatetime, FutureDatetime] | None = Field(default=None, description="Null: never.")


class KeyView(BaseModel):
    """A key as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    name: str
    prefix: str = Field(description="How the key begins.", examples=["fg_Zk3r9x"])
    scopes: list[Scope]
    created_at: datetime.datetime
    last_used_at: datetime.datetime | None = Field(description="To the minute.")
    expires_at: datetime.datetime | None


class KeyWithSecret(KeyView):
    """A key and what is to be sent, which is told this once."""

    key: str = Field(description="Send it as `Authorization: Bearer`. It is not told again.", examples=["fg_..."])


class KeyList(BaseModel):
    """All keys of a user."""

    items: list[KeyView]


@router.post("", status_code=201, responses=documented(TooManyKeys))
def make_key(session: SessionDep, user: AccountHolder, new: NewKey) -> KeyWithSecret:
    """Make a key. It works at once, until it expires or is revoked, whatever becomes of the password."""
    key, secret = key_lifecycle.make_key(session, user, name=new.name, scopes=new.scopes, expires_at=new.expires_at)
    return KeyWithSecret.model_validate({**KeyView.model_validate(key).model_dump(), "key": secret})


@router.get("", response_model=KeyList)
def list_keys(session: SessionDep, user: AccountHolder) -> dict[str, Sequence[ApiKey]]:
    """Your keys, newest first."""
    return {"items": queries.list_keys(session, user_id=user.id)}


@router.delete("/{key_id}", status_code=204, responses=documented(KeyNotFound))
def revoke_key(key_id: uuid.UUID, session: SessionDep, user: AccountHolder) -> None:
    """Revoke a key, at once."""
    key_lifecycle.revoke_key(session, key_id, user_id=user.id)
