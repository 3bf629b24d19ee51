"""How accounts begin, change and end."""

import datetime
import math
from typing import Any

from sqlalchemy import delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import audit
from app.accounts import mail_lifecycle, passwords, session_lifecycle
from app.accounts.errors import BadToken, EmailTaken, InvitationNeeded, SignupClosed, TooManyUploads, WrongPassword
from app.accounts.models import User
from app.accounts.sign_in_limit import get_sign_in_limit
from app.settings import get_settings


def sign_up(session: Session, *, email: str, password: str, locale: str, invitation: str | None = None) -> User:
    """Make an account. Whoever brings the invitation that was mailed to an address has shown that it is theirs."""
    invited = invitation is not None and mail_lifecycle.accept(session, token=invitation, email=email)
    check_signup(is_invited=invited)
    password_hash = passwords.hash_password(password)
    user = add_user(session, email=email, password_hash=password_hash, locale=locale, is_confirmed=invited)
    settings = get_settings()
    if settings.email_confirmation or mail_lifecycle.is_admins(email):
        mail_lifecycle.ask_confirmation(session, user)
    return user


def check_signup(*, is_invited: bool) -> None:
    """Refuse whoever may not make an account here."""
    signup = get_settings().signup
    if signup == "closed":
        raise SignupClosed
    if signup == "invite" and not is_invited:
        raise InvitationNeeded


def add_user(session: Session, *, email: str, password_hash: str | None, locale: str, is_confirmed: bool) -> User:
    """The row of a new account."""
    user: User | None = session.scalar(
        insert(User)
        .values(
            email=email,
            password_hash=password_hash,
            locale=locale,
            email_confirmed_at=func.now() if is_confirmed else None,
        )
        .on_conflict_do_nothing()
        .returning(User)
    )
    if user is None:
        raise EmailTaken
    audit.record(session, "signed_up", user_id=user.id)
    mail_lifecycle.promote_if_named(session, user)
    return user


def change(session: Session, user: User, **values: Any) -> User:
    """Change what the user chose: `locale`, `time_zone`, `mail`, `default_plan` (JSON)."""
    changed: User | None = session.scalar(update(User).where(User.id == user.id).values(**values).returning(User))
    if changed is None:
        raise BadToken
    return changed


def change_password(session: Session, user: User, *, current: str, new: str, address: str) -> User:
    """Take a new password and end every session."""
    limit = get_sign_in_limit()
    limit.check(user.email, address=address)
    if not passwords.password_fits(current, user.password_hash):
        limit.count_failure(user.email, address=address)
        raise WrongPassword
    changed: User | None = session.scalar(
        update(User)
        .where(User.id == user.id, User.token_version == user.token_version)
        .values(password_hash=passwords.hash_password(new), token_version=User.token_version + 1)
        .returning(User)
    )
    if changed is None:
        raise BadToken
    session_lifecycle.end_all(session, user_id=user.id)
    audit.record(session, "password_changed", user_id=user.id)
    return changed


def count_upload(user: User, *, most: int) -> None:
    """One more upload of a user, whose row the caller holds, was begun today."""
    now = datetime.datetime.now(datetime.UTC)
    begun = user.uploads_since_midnight
    if begun >= most:
        midnight = datetime.datetime.combine(now.date() + datetime.timedelta(days=1), datetime.time(), datetime.UTC)
        raise TooManyUploads(retry_after_seconds=math.ceil((midnight - now).total_seconds()))
    user.uploads_day, user.uploads_today = now.date(), begun + 1


def delete_user(session: Session, user: User) -> None:
    """End an account; every row of it goes along, but for what the audit log has."""
    audit.record(session, "account_deleted", user_id=user.id)
    session.execute(delete(User).where(User.id == user.id))
