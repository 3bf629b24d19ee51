"""Signing in and out."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel, ConfigDict, Field

from app.accounts import errors, lifecycle
from app.accounts.lifecycle import Tokens
from app.api.dependencies import SessionDep, address_of
from app.api.error_responses import documented


async def _keep_out_of_caches(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


router = APIRouter(prefix="/auth", tags=["auth"], dependencies=[Depends(_keep_out_of_caches)])


class TokenPair(BaseModel):
    """Send the access token as `Authorization: Bearer`; keep the refresh token for when it has ended."""

    model_config = ConfigDict(from_attributes=True)

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 (the name of a scheme, no password)
    expires_in: int = Field(description="Seconds the access token is good for.")
    refresh_token: str


class RefreshRequest(BaseModel):
    """The token that came with the last pair."""

    refresh_token: str


@router.post("/token", response_model=TokenPair, responses=documented(errors.BadCredentials, errors.TooManySignIns))
def sign_in(form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request) -> Tokens:
    """Sign in: `username` is the e-mail address. Only failures count against the limit."""
    return lifecycle.sign_in(email=form.username.strip(), password=form.password, address=address_of(request))


@router.post("/refresh", response_model=TokenPair, responses=documented(errors.BadToken))
def refresh(body: RefreshRequest) -> Tokens:
    """Exchange a refresh token for a new pair. Each works once; using one again ends its session."""
    return lifecycle.renew(body.refresh_token)


@router.post("/logout", status_code=204)
def sign_out(session: SessionDep, body: RefreshRequest) -> None:
    """End the session of a refresh token, its access tokens included. A token that is not known is no error."""
    lifecycle.sign_out(session, body.refresh_token)
