"""What is proven by a link in a mail: a forgotten password, an address."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, EmailStr, Field

from app.accounts import mail_lifecycle
from app.accounts.errors import BadMailedToken, TooManySignIns
from app.accounts.sign_in_limit import get_sign_in_limit
from app.api.dependencies import AccountHolder, SessionDep, address_of
from app.api.error_responses import documented
from app.api.users import Password
from app.database import open_session
from app.errors import Unauthenticated

router = APIRouter(prefix="/auth", tags=["auth"])

# Far more than looking for an account and owing it a mail takes, so that the time tells nothing.
FORGOT_SECONDS = 0.3

MailedTokenText = Annotated[str, Field(max_length=200, description="What follows `token=` in the link.")]


class Forgotten(BaseModel):
    """Whose password."""

    email: EmailStr


class Reset(BaseModel):
    """The new password, and the right to set it."""

    token: MailedTokenText
    password: Password


class Confirmation(BaseModel):
    """What shows that the mail was read."""

    token: MailedTokenText


@router.post("/password/forgot", status_code=202)
async def forgot_password(body: Forgotten, request: Request) -> None:
    """Have a link mailed by which a new password can be set. The answer is the same whether or not there is such an
    account."""
    begun = time.monotonic()
    await run_in_threadpool(_mail_reset, body.email, address_of(request))
    await asyncio.sleep(max(0.0, begun + FORGOT_SECONDS - time.monotonic()))


def _mail_reset(email: str, address: str) -> None:
    limit, counter = get_sign_in_limit(), f"forgotten {email}"
    try:
        limit.check(counter, address=address)
    except TooManySignIns:
        return
    limit.count_failure(counter, address=address)
    with open_session() as session:
        mail_lifecycle.ask_reset(session, email=email)


@router.post("/password/reset", status_code=204, responses=documented(BadMailedToken))
def reset_password(session: SessionDep, body: Reset) -> None:
    """Set a new password by a mailed link. It ends every session; the link works once, for an hour."""
    mail_lifecycle.reset(session, token=body.token, password=body.password)


@router.post("/email/confirm", status_code=204, responses=documented(BadMailedToken))
def confirm_email(session: SessionDep, body: Confirmation) -> None:
    """Confirm an address by a mailed link. It works once, for two days."""
    mail_lifecycle.confirm(session, token=body.token)


@router.post("/email/resend", status_code=202, responses=documented(Unauthenticated))
def resend_confirmation(session: SessionDep, user: AccountHolder) -> None:
    """Have the link mailed again by which your address is confirmed, at most once a minute."""
    mail_lifecycle.ask_confirmation(session, user)
