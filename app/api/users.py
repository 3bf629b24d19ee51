"""Accounts."""

import datetime
import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, EmailStr, Field, model_validator
from pydantic_core import PydanticCustomError

from app.accounts import errors, lifecycle
from app.accounts.models import User
from app.api.dependencies import CurrentUser, SessionDep, address_of
from app.api.error_responses import documented
from app.errors import Unauthenticated
from app.extractions import lifecycle as extractions
from app.settings import get_settings

router = APIRouter(prefix="/users", tags=["users"])


def _spell_locale(value: object) -> object:
    is_portuguese = isinstance(value, str) and value.lower().replace("_", "-") in {"pt", "pt-br"}
    return "pt-BR" if is_portuguese else value


def _check_length(password: str) -> str:
    shortest = get_settings().password_min_length
    if len(password) < shortest:
        raise PydanticCustomError(
            "password_too_short", "must have at least {shortest} characters", {"shortest": shortest}
        )
    return password


Locale = Annotated[
    Literal["en", "pt-BR"],
    BeforeValidator(_spell_locale),
    Field(description="Language of e-mails.", examples=["en", "pt-BR"]),
]
# An end is set because every byte is hashed.
Password = Annotated[str, Field(max_length=1024, examples=["a long sentence"]), AfterValidator(_check_length)]


class NewUser(BaseModel):
    """What a new account needs."""

    email: EmailStr
    password: Password
    locale: Locale = "en"


class UserChange(BaseModel):
    """What to change; what is left out stays."""

    locale: Locale | None = None
    password: Password | None = Field(default=None, description="The new one.")
    current_password: str | None = Field(default=None, description="Needed for a new password.")

    @model_validator(mode="after")
    def _password_needs_the_current_one(self) -> "UserChange":
        if self.password is not None and self.current_password is None:
            raise PydanticCustomError("current_password_missing", "a new password needs current_password")
        return self


class UserView(BaseModel):
    """An account as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    email: str
    locale: str
    created_at: datetime.datetime


@router.post(
    "/", status_code=201, response_model=UserView, responses=documented(errors.EmailTaken, errors.SignupClosed)
)
def sign_up(session: SessionDep, new: NewUser, response: Response) -> User:
    """Make an account. An e-mail address can have one, whatever its case."""
    response.headers["Location"] = "/users/me"
    return lifecycle.sign_up(session, email=new.email, password=new.password, locale=new.locale)


@router.get("/me", response_model=UserView, responses=documented(Unauthenticated))
def read_me(user: CurrentUser) -> User:
    """The account that is signed in."""
    return user


@router.patch(
    "/me",
    response_model=UserView,
    responses=documented(Unauthenticated, errors.WrongPassword, errors.TooManySignIns),
)
def change_me(session: SessionDep, user: CurrentUser, change: UserChange, request: Request) -> User:
    """Change the language or the password. A new password ends every session, this one too: sign in with it."""
    if change.password is not None and change.current_password is not None:
        user = lifecycle.change_password(
            session, user, current=change.current_password, new=change.password, address=address_of(request)
        )
    if change.locale is not None:
        user = lifecycle.set_locale(session, user, change.locale)
    return user


@router.delete("/me", status_code=204, responses=documented(Unauthenticated))
def delete_me(session: SessionDep, user: CurrentUser) -> None:
    """End the account: its videos, archives and everything else of it go."""
    extractions.withdraw_all(session, user_id=user.id)
    lifecycle.delete_user(session, user)
