"""Accounts."""

import uuid
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, EmailStr, Field, model_validator
from pydantic_core import PydanticCustomError

from app import audit
from app.accounts import errors, lifecycle
from app.accounts.models import User
from app.api.account_schemas import AuditPage, UsageView, UserView
from app.api.dependencies import AccountHolder, CurrentUser, SessionDep, SettingsDep, StorageDep, address_of
from app.api.error_responses import documented
from app.api.plans import BadPlan, plan_of_json
from app.errors import Unauthenticated
from app.extractions import admission, usage
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


def _check_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise PydanticCustomError("time_zone_unknown", "must be a time zone's IANA name, such as America/Sao_Paulo")
    return name


TimeZone = Annotated[
    str,
    Field(max_length=64, description="By its IANA name.", examples=["America/Sao_Paulo"]),
    AfterValidator(_check_time_zone),
]


class NewUser(BaseModel):
    """What a new account needs."""

    email: EmailStr
    password: Password
    locale: Locale = "en"
    invitation: str | None = Field(
        default=None, max_length=200, description="What follows `invitation=` in the link that was mailed."
    )


class UserChange(BaseModel):
    """What to change; what is left out stays."""

    locale: Locale | None = None
    time_zone: TimeZone | None = None
    mail: bool | None = Field(default=None, description="Whether the outcome of extractions is mailed.")
    default_plan: dict[str, Any] | None = Field(
        default=None,
        description="For uploads that say nothing of frames; null: one frame a second.",
        examples=[{"mode": "every", "seconds": 2}],
    )
    password: Password | None = Field(default=None, description="The new one.")
    current_password: str | None = Field(default=None, max_length=1024, description="Needed for a new password.")

    @model_validator(mode="after")
    def _password_needs_the_current_one(self) -> "UserChange":
        if self.password is not None and self.current_password is None:
            raise PydanticCustomError("current_password_missing", "a new password needs current_password")
        return self


@router.post(
    "/",
    status_code=201,
    response_model=UserView,
    responses=documented(errors.EmailTaken, errors.SignupClosed, errors.InvitationNeeded),
)
def sign_up(session: SessionDep, new: NewUser, response: Response) -> User:
    """Make an account. An e-mail address can have one, whatever its case."""
    response.headers["Location"] = "/users/me"
    return lifecycle.sign_up(
        session, email=new.email, password=new.password, locale=new.locale, invitation=new.invitation
    )


@router.get("/me", response_model=UserView, responses=documented(Unauthenticated))
async def read_me(user: CurrentUser) -> User:
    """The account that is signed in."""
    return user


@router.patch(
    "/me",
    response_model=UserView,
    responses=documented(Unauthenticated, errors.WrongPassword, errors.TooManySignIns, BadPlan),
)
def change_me(session: SessionDep, user: AccountHolder, change: UserChange, request: Request) -> User:
    """Change what you chose, or the password. A new password ends every session, this one too: sign in with it."""
    chosen = change.model_dump(include={"locale", "time_zone", "mail"}, exclude_none=True)
    if "default_plan" in change.model_fields_set:
        plan = change.default_plan
        chosen["default_plan"] = None if plan is None else plan_of_json(plan).to_json()
    if change.password is not None and change.current_password is not None:
        user = lifecycle.change_password(
            session, user, current=change.current_password, new=change.password, address=address_of(request)
        )
    return lifecycle.change(session, user, **chosen) if chosen else user


@router.get("/me/usage", responses=documented(Unauthenticated))
def read_usage(session: SessionDep, user: CurrentUser, settings: SettingsDep, storage: StorageDep) -> UsageView:
    """What of your share is taken."""
    taken = usage.read_usage(session, user)
    return UsageView.model_validate(
        {
            **vars(taken),
            "quotas": vars(taken.quotas),
            "upload_max_bytes": settings.upload_max_bytes,
            "direct_upload_max_bytes": admission.direct_upload_max_bytes(storage),
        }
    )


@router.get("/me/audit", response_model=AuditPage, responses=documented(Unauthenticated, errors.ScopeMissing))
def read_audit(
    session: SessionDep,
    user: AccountHolder,
    cursor: Annotated[uuid.UUID | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Entries on a page.")] = 50,
) -> audit.Page:
    """What was done with your account and from where, newest first."""
    return audit.read(session, user_id=user.id, before=cursor, limit=limit)


@router.delete("/me", status_code=204, responses=documented(Unauthenticated))
def delete_me(session: SessionDep, user: AccountHolder) -> None:
    """End the account: its videos, archives and everything else of it go."""
    extractions.withdraw_all(session, user_id=user.id)
    lifecycle.delete_user(session, user)
