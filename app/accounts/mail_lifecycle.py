"""What is proven by mail: whoever has the link reads the mail of that address. Each link works once, for its time.

ask_reset ──mail──> reset            a new password; every session ends
ask_confirmation ──mail──> confirm   the address is the user's
invite ──mail──> accept              somebody may make an account where not everybody may
"""

import datetime
import uuid

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import audit
from app.accounts import passwords, queries, session_lifecycle
from app.accounts.credentials import hash_of
from app.accounts.errors import BadMailedToken, EmailTaken
from app.accounts.models import ApiKey, MailedKind, MailedToken, User
from app.database import new_id
from app.notifications import lifecycle as notifications
from app.notifications.mailed_tokens import key_name, mailed_token
from app.settings import get_settings

GOOD_FOR: dict[MailedKind, datetime.timedelta] = {
    "reset": datetime.timedelta(hours=1),
    "confirm": datetime.timedelta(hours=48),
    "invitation": datetime.timedelta(days=7),
}
# Whoever asks again and again for somebody else fills no mailbox.
PAUSE = datetime.timedelta(minutes=1)


def ask_reset(session: Session, *, email: str) -> None:
    """Mail a link by which a new password can be set, if there is such an account; nobody is told whether."""
    user = queries.user_by_email(session, email)
    if user is not None and user.disabled_at is None:
        audit.record(session, "password_reset_asked", user_id=user.id)
        _mail(session, "reset", email=user.email, user=user)


def reset(session: Session, *, token: str, password: str) -> None:
    """Set a new password by a mailed link, and end every session."""
    user = _user_of(session, _take(session, "reset", token))
    user.password_hash = passwords.hash_password(password)
    user.token_version += 1
    session_lifecycle.end_all(session, user_id=user.id)
    audit.record(session, "password_reset", user_id=user.id)
    if not user.email_confirmed:
        # Whoever made them had not shown to be who reads this mail.
        session.execute(delete(ApiKey).where(ApiKey.user_id == user.id))
    _confirmed(session, user)


def ask_confirmation(session: Session, user: User) -> None:
    """Mail a link by which the user shows that the address is the user's."""
    if not user.email_confirmed:
        _mail(session, "confirm", email=user.email, user=user)


def confirm(session: Session, *, token: str) -> None:
    """Believe that an address is its user's."""
    _confirmed(session, _user_of(session, _take(session, "confirm", token)))


def invite(session: Session, *, email: str, locale: str, by: uuid.UUID | None) -> MailedToken:
    """Mail somebody a link by which an account can be made; one that was mailed before works no more."""
    if queries.user_by_email(session, email) is not None:
        raise EmailTaken
    session.execute(
        delete(MailedToken).where(MailedToken.kind == "invitation", func.lower(MailedToken.email) == func.lower(email))
    )
    audit.record(session, "invited", user_id=by, email=email)
    return _owe(session, "invitation", email=email, locale=locale, user_id=None)


def accept(session: Session, *, token: str, email: str) -> bool:
    """Use an invitation up; whether it was one, and for this address."""
    taken = session.scalar(
        delete(MailedToken)
        .where(*_good("invitation", token), func.lower(MailedToken.email) == func.lower(email))
        .returning(MailedToken.id)
    )
    return taken is not None


def accept_by_address(session: Session, *, email: str) -> bool:
    """Use up the invitation of an address that was shown to be the asker's in another way."""
    taken = session.scalar(
        delete(MailedToken)
        .where(
            MailedToken.kind == "invitation",
            MailedToken.expires_at > func.now(),
            func.lower(MailedToken.email) == func.lower(email),
        )
        .returning(MailedToken.id)
    )
    return taken is not None


def forget_expired(session: Session) -> None:
    """Remove links that work no more."""
    session.execute(delete(MailedToken).where(MailedToken.expires_at < func.now()))


def _mail(session: Session, kind: MailedKind, *, email: str, user: User) -> None:
    lately = exists().where(
        MailedToken.user_id == user.id, MailedToken.kind == kind, MailedToken.created_at > func.now() - PAUSE
    )
    if not session.scalar(select(lately)):
        _owe(session, kind, email=email, locale=user.locale, user_id=user.id)


def _owe(session: Session, kind: MailedKind, *, email: str, locale: str, user_id: uuid.UUID | None) -> MailedToken:
    token_id = new_id()
    mailed = session.scalars(
        insert(MailedToken)
        .values(
            id=token_id,
            kind=kind,
            email=email,
            user_id=user_id,
            token_hash=hash_of(mailed_token(token_id)),
            expires_at=func.now() + GOOD_FOR[kind],
        )
        .returning(MailedToken)
    ).one()
    facts = {
        "token_id": str(token_id),
        "key": key_name(get_settings().secret_key.get_secret_value()),
        "email": email,
        "expires_at": mailed.expires_at.isoformat(),
    }
    notifications.owe_email(session, kind=kind, user_id=user_id, recipient=email, locale=locale, facts=facts)
    return mailed


def _take(session: Session, kind: MailedKind, token: str) -> MailedToken:
    taken: MailedToken | None = session.scalar(delete(MailedToken).where(*_good(kind, token)).returning(MailedToken))
    if taken is None:
        raise BadMailedToken
    return taken


def _good(kind: MailedKind, token: str) -> tuple[ColumnElement[bool], ...]:
    return MailedToken.kind == kind, MailedToken.token_hash == hash_of(token), MailedToken.expires_at > func.now()


def _user_of(session: Session, mailed: MailedToken) -> User:
    user = session.scalar(
        select(User)
        .where(User.id == mailed.user_id, func.lower(User.email) == func.lower(mailed.email))
        .with_for_update()
    )
    if user is None or user.disabled_at is not None:
        raise BadMailedToken
    # All others too: what was asked for twice is done with.
    session.execute(delete(MailedToken).where(MailedToken.user_id == user.id, MailedToken.kind == mailed.kind))
    return user


def _confirmed(session: Session, user: User) -> None:
    if not user.email_confirmed:
        user.email_confirmed_at = datetime.datetime.now(datetime.UTC)
        audit.record(session, "email_confirmed", user_id=user.id)
    promote_if_named(session, user)


def promote_if_named(session: Session, user: User) -> None:
    """Make the account of ADMIN_EMAIL an admin, once its address is shown to be the user's and not before: anybody can
    sign up with it."""
    if user.email_confirmed and is_admins(user.email) and user.role != "admin":
        user.role = "admin"
        audit.record(session, "role_changed", user_id=user.id, role="admin", because="ADMIN_EMAIL")


def is_admins(email: str) -> bool:
    """Whether ADMIN_EMAIL names this address."""
    return email.lower() == get_settings().admin_email.strip().lower()
