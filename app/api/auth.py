"""Signing in and out."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel, ConfigDict, Field

from app.accounts import errors, session_lifecycle
from app.accounts.credentials import SessionToken
from app.accounts.models import User
from app.accounts.session_lifecycle import Tokens
from app.api import session_cookie
from app.api.account_schemas import UserView
from app.api.dependencies import AskerDep, SessionDep, SettingsDep, address_of, keep_out_of_caches
from app.api.error_responses import documented
from app.errors import Unauthenticated

router = APIRouter(prefix="/auth", tags=["auth"], dependencies=[Depends(keep_out_of_caches)])


class TokenPair(BaseModel):
    """Send the access token as `Authorization: Bearer`; keep the refresh token for when it has ended."""

    model_config = ConfigDict(from_attributes=True)

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 (the name of a scheme, no password)
    expires_in: int = Field(description="Seconds the access token is good for.")
    refresh_token: str


class RefreshRequest(BaseModel):
    """The token that came with the last pair."""

    refresh_token: str = Field(max_length=200)


class Provider(BaseModel):
    """Somebody else who says who you are."""

    id: str = Field(description="As in `/auth/oidc/{id}/start`.")
    name: str


class SignInMethods(BaseModel):
    """How accounts are made and signed in to here."""

    signup: Literal["open", "invite", "closed"] = Field(description="Who may make an account.")
    password_min_length: int
    email_confirmation: bool = Field(description="Whether an address must be confirmed before anything is uploaded.")
    providers: list[Provider]


@router.get("/methods")
async def list_methods(settings: SettingsDep) -> SignInMethods:
    """What a page that lets people in must know."""
    return SignInMethods(
        signup=settings.signup,
        password_min_length=settings.password_min_length,
        email_confirmation=settings.email_confirmation,
        providers=[Provider(id=provider.id, name=provider.name) for provider in settings.sign_in_providers],
    )


@router.post(
    "/token",
    response_model=TokenPair,
    responses=documented(errors.BadCredentials, errors.AccountDisabled, errors.TooManySignIns),
)
def sign_in(form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request) -> Tokens:
    """Sign in: `username` is the e-mail address. Only failures count against the limit."""
    return session_lifecycle.sign_in(email=form.username.strip(), password=form.password, address=address_of(request))


@router.post("/refresh", response_model=TokenPair, responses=documented(errors.BadToken))
def refresh(body: RefreshRequest) -> Tokens:
    """Exchange a refresh token for a new pair. Each works once; using one again ends its session."""
    return session_lifecycle.renew(body.refresh_token)


@router.post("/logout", status_code=204)
def sign_out(session: SessionDep, body: RefreshRequest) -> None:
    """End the session of a refresh token, its access tokens included. A token that is not known is no error."""
    session_lifecycle.sign_out(session, body.refresh_token)


@router.post(
    "/session",
    response_model=UserView,
    responses=documented(errors.BadCredentials, errors.AccountDisabled, errors.BadOrigin, errors.TooManySignIns),
)
def open_session(form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request, response: Response) -> User:
    """Sign in as a page does: by a cookie that its scripts can't read, good for as long as it is used now and then.

    What changes something must then come from a page of the service itself (`Origin`).
    """
    # Or a foreign page could sign its visitors in to an account of its own.
    if "Origin" in request.headers:
        session_cookie.check_origin(request)
    user, secret = session_lifecycle.open_browser_session(
        email=form.username.strip(), password=form.password, address=address_of(request)
    )
    session_cookie.set_session_cookie(response, secret)
    return user


@router.delete("/session", status_code=204, responses=documented(Unauthenticated, errors.BadOrigin))
def close_session(asker: AskerDep, session: SessionDep, response: Response) -> None:
    """End the session of the cookie."""
    if isinstance(asker.credential, SessionToken):
        session_lifecycle.close_browser_session(session, asker.credential, user_id=asker.user.id)
    session_cookie.clear_session_cookie(response)
