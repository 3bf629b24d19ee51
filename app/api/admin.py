"""What admins see and do. Whoever is none finds nothing here."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AliasPath, AwareDatetime, BaseModel, ConfigDict, EmailStr, Field

from app import audit, fleet
from app.accounts import admin_lifecycle, mail_lifecycle, queries
from app.accounts.errors import EmailTaken, NotYourself, ScopeMissing, UserNotFound
from app.accounts.models import MailedToken, Role, User
from app.accounts.quotas import MOST, quotas_of
from app.api.account_schemas import AuditEntry, UserView
from app.api.dependencies import AccountHolder, AskerDep, SessionDep, SettingsDep
from app.api.error_responses import documented
from app.api.users import Locale
from app.errors import NotFound, Unauthenticated
from app.extractions import backlog, dead_letters
from app.extractions.errors import ExtractionNotFound
from app.notifications import queries as notifications
from app.webhooks import queries as webhooks


def get_admin(asker: AskerDep) -> User:
    """Who asks, or 404 where that is no admin: whether there is such an address is nobody else's business."""
    if asker.user.role != "admin":
        raise NotFound
    return asker.user


def _needs_account(_: AccountHolder) -> None:
    """A key must be for the account, as for all else that is not about videos."""


Admin = Annotated[User, Depends(get_admin)]

router = APIRouter(
    prefix="/admin",
    tags=["admin"],
    dependencies=[Depends(get_admin), Depends(_needs_account)],
    responses=documented(Unauthenticated, NotFound, ScopeMissing),
)


class UserQuotas(BaseModel):
    """What one user may have."""

    model_config = ConfigDict(from_attributes=True)

    stored_bytes: int
    videos: int
    extractions_running: int
    extractions_waiting: int
    uploads_a_day: int


class QuotaChange(BaseModel):
    """What is other for one user than the settings say; null: what they say again."""

    model_config = ConfigDict(extra="forbid")

    stored_bytes: int | None = Field(default=None, ge=0, le=MOST["stored_bytes"])
    videos: int | None = Field(default=None, ge=0, le=MOST["videos"])
    extractions_running: int | None = Field(default=None, ge=1, le=MOST["extractions_running"])
    extractions_waiting: int | None = Field(default=None, ge=0, le=MOST["extractions_waiting"])
    uploads_a_day: int | None = Field(default=None, ge=0, le=MOST["uploads_a_day"])


class AdminUserView(UserView):
    """An account as admins see it."""

    disabled: bool = Field(validation_alias=AliasPath("is_disabled"))
    quotas: UserQuotas = Field(validation_alias=AliasPath("all_quotas"), description="What the user may have.")
    own_quotas: dict[str, int] = Field(
        validation_alias=AliasPath("quotas"), description="Those of them that are this user's own."
    )


class UserPage(BaseModel):
    """Some accounts, newest first."""

    items: list[AdminUserView]
    next_cursor: uuid.UUID | None


class AccountChange(BaseModel):
    """What to change; what is left out stays."""

    role: Role | None = None
    disabled: bool | None = Field(default=None, description="A disabled account is shut out at once, and keeps all.")
    quotas: QuotaChange | None = None


class NewInvitation(BaseModel):
    """Whom to invite."""

    email: EmailStr
    locale: Locale = "en"


class InvitationView(BaseModel):
    """An invitation that was mailed."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    email: str
    expires_at: AwareDatetime


class QueueView(BaseModel):
    """What waits and runs, of all users."""

    segments_waiting: int = Field(description="Could be taken now.")
    segments_paused: int = Field(description="Wait for the time of their next try.")
    segments_running: int
    oldest_seconds: float = Field(description="How long the oldest of the waiting could have been taken.")
    mails_due: int
    webhook_calls_due: int


class WorkerView(BaseModel):
    """A worker that is there."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    host: str
    layers: dict[str, str] = Field(description="Of its jail: `on`, or why it does not hold.")
    started_at: AwareDatetime
    seen_at: AwareDatetime


class WorkerList(BaseModel):
    """All workers that are there."""

    items: list[WorkerView]


class DeadLetterView(BaseModel):
    """An extraction that machines failed."""

    model_config = ConfigDict(from_attributes=True)

    extraction_id: uuid.UUID
    failed_at: AwareDatetime
    code: str
    email: str
    filename: str


class DeadLetterList(BaseModel):
    """All of them that were not sent again yet, oldest first."""

    items: list[DeadLetterView]


class Resent(BaseModel):
    """What a dead letter goes on as."""

    extraction_id: uuid.UUID


class AdminAuditEntry(AuditEntry):
    """One act, of anybody."""

    user_id: uuid.UUID | None = Field(description="Whose account or thing it was; null: nobody's.")
    email: str | None = Field(description="The address of that account now; null: it has ended.")
    by: uuid.UUID | None = Field(description="The admin who did it to somebody else.")
    by_email: str | None


class AdminAuditPage(BaseModel):
    """Some acts, newest first."""

    items: list[AdminAuditEntry]
    next_cursor: uuid.UUID | None


class Links(BaseModel):
    """Where to look further; null: not told by the settings."""

    flower: str | None
    metrics: str


CursorQuery = Annotated[uuid.UUID | None, Query(description="`next_cursor` of the page before.")]
LimitQuery = Annotated[int, Query(ge=1, le=200)]


def _view(user: User) -> AdminUserView:
    return AdminUserView.model_validate(
        {
            **UserView.model_validate(user).model_dump(),
            "is_disabled": user.disabled_at is not None,
            "all_quotas": quotas_of(user),
            "quotas": user.quotas,
        }
    )


@router.get("/users")
def list_users(
    session: SessionDep,
    search: Annotated[str, Query(max_length=255, description="Part of the address.")] = "",
    cursor: CursorQuery = None,
    limit: LimitQuery = 50,
) -> UserPage:
    """All accounts, newest first."""
    users, next_cursor = queries.list_users(session, search=search, before=cursor, limit=limit)
    return UserPage(items=[_view(user) for user in users], next_cursor=next_cursor)


@router.patch("/users/{user_id}", responses=documented(UserNotFound, NotYourself))
def change_user(user_id: uuid.UUID, session: SessionDep, admin: Admin, change: AccountChange) -> AdminUserView:
    """Change somebody's role or quotas, or shut somebody out."""
    quotas = None if change.quotas is None else change.quotas.model_dump(exclude_unset=True)
    return _view(
        admin_lifecycle.change_user(
            session, user_id, by=admin.id, role=change.role, disabled=change.disabled, quotas=quotas
        )
    )


@router.post("/invitations", status_code=201, response_model=InvitationView, responses=documented(EmailTaken))
def invite(session: SessionDep, admin: Admin, new: NewInvitation) -> MailedToken:
    """Mail somebody a link by which an account can be made. It works once, for a week."""
    return mail_lifecycle.invite(session, email=new.email, locale=new.locale, by=admin.id)


@router.get("/queue")
def read_queue(session: SessionDep) -> QueueView:
    """How much waits, and for how long."""
    work = backlog.read_backlog(session)
    return QueueView(
        segments_waiting=work.waiting,
        segments_paused=work.paused,
        segments_running=work.running,
        oldest_seconds=work.oldest_seconds,
        mails_due=notifications.due(session),
        webhook_calls_due=webhooks.due(session),
    )


@router.get("/workers", response_model=WorkerList)
def list_workers(session: SessionDep) -> dict[str, Any]:
    """Who is there to work, and how their decoders are locked in."""
    return {"items": fleet.present(session)}


@router.get("/dead-letters", response_model=DeadLetterList)
def list_dead_letters(session: SessionDep) -> dict[str, Any]:
    """Extractions that were given up because machines failed, not videos."""
    return {"items": dead_letters.list_dead_letters(session)}


@router.post("/dead-letters/{extraction_id}/retry", status_code=202, responses=documented(ExtractionNotFound))
def retry_dead_letter(extraction_id: uuid.UUID, session: SessionDep, admin: Admin) -> Resent:
    """Send one again, as a new extraction of the same plan."""
    again = dead_letters.retry(session, extraction_id)
    audit.record(session, "dead_letter_retried", user_id=again.user_id, by=admin.id, extraction_id=str(extraction_id))
    return Resent(extraction_id=again.id)


@router.get("/audit")
def read_audit(
    session: SessionDep,
    user_id: Annotated[uuid.UUID | None, Query(description="Only what concerns this account.")] = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 50,
) -> AdminAuditPage:
    """What was done with all accounts, newest first."""
    page = audit.read(session, user_id=user_id, before=cursor, limit=limit)
    emails = queries.emails_of(session, {one for entry in page.items for one in (entry.user_id, entry.by) if one})
    entries = [
        AdminAuditEntry.model_validate(
            {
                **AuditEntry.model_validate(entry).model_dump(),
                "user_id": entry.user_id,
                "email": emails.get(entry.user_id) if entry.user_id else None,
                "by": entry.by,
                "by_email": emails.get(entry.by) if entry.by else None,
            }
        )
        for entry in page.items
    ]
    return AdminAuditPage(items=entries, next_cursor=page.next_cursor)


@router.get("/links")
def list_links(settings: SettingsDep) -> Links:
    """Where Flower and the metrics are."""
    return Links(flower=settings.flower_url or None, metrics=f"{settings.public_url.rstrip('/')}/metrics")
