"""How somebody whom a provider names becomes a user here: the one who came before, the one with that address, or a new
one."""

import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import audit
from app.accounts import lifecycle, mail_lifecycle, session_lifecycle
from app.accounts.errors import AccountDisabled, EmailNotVerified
from app.accounts.models import ApiKey, Identity, User
from app.accounts.oidc import Claimed
from app.accounts.queries import user_by_email


def sign_in(session: Session, claimed: Claimed, *, locale: str) -> tuple[User, str]:
    """Let in whom a provider names; gives the user and what the cookie of the new session holds."""
    user = session.scalar(
        select(User)
        .join(Identity, Identity.user_id == User.id)
        .where(Identity.provider == claimed.issuer, Identity.subject == claimed.subject)
    ) or _link(session, claimed, locale=locale)
    if user.disabled_at is not None:
        raise AccountDisabled
    return user, session_lifecycle.browser_session_of(session, user, by=claimed.issuer)


def _link(session: Session, claimed: Claimed, *, locale: str) -> User:
    # By an address that is only said, anybody could have anybody's account.
    if claimed.email is None or not claimed.email_verified:
        raise EmailNotVerified
    user = user_by_email(session, claimed.email)
    if user is None:
        user = _sign_up(session, claimed.email, locale=locale)
    elif not user.email_confirmed:
        _take_over(session, user)
    session.execute(
        insert(Identity)
        .values(user_id=user.id, provider=claimed.issuer, subject=claimed.subject)
        .on_conflict_do_nothing()
    )
    audit.record(session, "identity_linked", user_id=user.id, provider=claimed.issuer)
    return user


def _sign_up(session: Session, email: str, *, locale: str) -> User:
    lifecycle.check_signup(is_invited=mail_lifecycle.accept_by_address(session, email=email))
    return lifecycle.add_user(session, email=email, password_hash=None, locale=locale, is_confirmed=True)


def _take_over(session: Session, user: User) -> None:
    """Somebody made this account with an address that nobody had shown to be theirs, perhaps to wait in it for whom it
    belongs to: what opened it until now opens it no more."""
    user.password_hash = None
    user.token_version += 1
    user.email_confirmed_at = datetime.datetime.now(datetime.UTC)
    session_lifecycle.end_all(session, user_id=user.id)
    session.execute(delete(ApiKey).where(ApiKey.user_id == user.id))
    session.flush()
    mail_lifecycle.promote_if_named(session, user)
