"""How sessions begin, go on and end: those of clients, with tokens, and those of browsers, with a cookie.

    sign_in ──> tokens ──renew──> tokens ──renew──> ...       a refresh token used twice ends its whole family
    open_browser_session ──> cookie ──extend──> ...           goes on for as long as it is used now and then

All of a user's end with a new password.
"""

import datetime
import uuid
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from app import audit
from app.accounts import access_tokens, passwords, queries
from app.accounts.access_tokens import AccessToken
from app.accounts.credentials import SessionToken, hash_of, new_secret
from app.accounts.errors import AccountDisabled, BadCredentials, BadToken
from app.accounts.models import BrowserSession, RefreshToken, User
from app.accounts.sign_in_limit import get_sign_in_limit
from app.database import new_id, open_session
from app.settings import get_settings

EXTEND_AFTER = datetime.timedelta(hours=12)
"""A browser's session is not written to more often than this."""


@dataclass(frozen=True)
class Tokens:
    """What a client gets when it signs in."""

    access_token: str
    expires_in: int
    """Seconds the access token is good for."""
    refresh_token: str


def sign_in(*, email: str, password: str, address: str) -> Tokens:
    """Begin a client's session. Like what follows it opens transactions itself, so that none waits while the password
    is verified."""
    user = _verified(email=email, password=password, address=address)
    with open_session() as session:
        return _issue_tokens(session, _welcome(session, user, by="password"), session_id=new_id())


def open_browser_session(*, email: str, password: str, address: str) -> tuple[User, str]:
    """Begin a browser's session; gives what its cookie holds."""
    user = _verified(email=email, password=password, address=address)
    with open_session() as session:
        return user, browser_session_of(session, user, by="password")


def browser_session_of(session: Session, user: User, *, by: str) -> str:
    """Begin a browser's session of a user who was let in by a password or a provider; gives what its cookie holds."""
    secret = new_secret()
    welcome = _welcome(session, user, by=by)
    session.add(BrowserSession(user_id=welcome.id, token_hash=hash_of(secret), expires_at=_session_end()))
    return secret


def extend(browser_session: BrowserSession) -> bool:
    """Let a browser's session that is in use go on; whether it was due."""
    end = _session_end()
    if browser_session.expires_at > end - EXTEND_AFTER:
        return False
    browser_session.expires_at = end
    return True


def close_browser_session(session: Session, token: SessionToken, *, user_id: uuid.UUID) -> None:
    """End a browser's session."""
    audit.record(session, "signed_out", user_id=user_id)
    session.execute(delete(BrowserSession).where(BrowserSession.token_hash == token.token_hash))


def renew(refresh_token: str) -> Tokens:
    """Exchange a refresh token for the next pair. One that was used before was stolen: its whole session ends."""
    with open_session() as session:
        this_one = RefreshToken.token_hash == hash_of(refresh_token)
        user = _lock(session, User.id == select(RefreshToken.user_id).where(this_one).scalar_subquery())
        family = session.scalar(
            update(RefreshToken)
            .where(this_one, RefreshToken.used_at.is_(None), RefreshToken.expires_at > func.now())
            .values(used_at=func.now())
            .returning(RefreshToken.family)
        )
        if user is not None and family is not None:
            return _issue_tokens(session, user, session_id=family)
        sign_out(session, refresh_token)
    # Outside of the transaction, which must not be undone.
    raise BadToken


def sign_out(session: Session, refresh_token: str) -> None:
    """End the session that a refresh token belongs to, its access tokens included."""
    family = select(RefreshToken.family).where(RefreshToken.token_hash == hash_of(refresh_token)).scalar_subquery()
    ended = delete(RefreshToken).where(RefreshToken.family == family).returning(RefreshToken.user_id)
    if (user_id := session.scalars(ended).first()) is not None:
        audit.record(session, "signed_out", user_id=user_id)


def end_all(session: Session, *, user_id: uuid.UUID) -> None:
    """End every session of a user whose token version was raised."""
    session.execute(delete(RefreshToken).where(RefreshToken.user_id == user_id))
    session.execute(delete(BrowserSession).where(BrowserSession.user_id == user_id))


def _verified(*, email: str, password: str, address: str) -> User:
    limit = get_sign_in_limit()
    limit.check(email, address=address)
    with open_session() as session:
        user = queries.user_by_email(session, email)
    fits = passwords.password_fits(password, user.password_hash if user else None)
    # Again, because others of the same crowd may have failed meanwhile.
    limit.check(email, address=address)
    if user is None or not fits:
        limit.count_failure(email, address=address)
        with open_session() as session:
            audit.record(session, "sign_in_failed", user_id=user.id if user else None)
        raise BadCredentials
    # Only to whoever knows the password.
    if user.disabled_at is not None:
        raise AccountDisabled
    return user


def _welcome(session: Session, user: User, *, by: str) -> User:
    """The user, if the password is still the one that was verified; what the user let expire is removed."""
    locked = _lock(session, User.id == user.id, User.token_version == user.token_version)
    if locked is None:
        raise BadCredentials
    for kind in (RefreshToken, BrowserSession):
        session.execute(delete(kind).where(kind.user_id == locked.id, kind.expires_at < func.now()))
    audit.record(session, "signed_in", user_id=locked.id, how=by)
    return locked


def _lock(session: Session, *which: ColumnElement[bool]) -> User | None:
    # A password that changes, or an account that ends, waits until the new token is there to be deleted too.
    return session.scalar(select(User).where(*which).with_for_update(read=True))


def _session_end() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=get_settings().refresh_token_expire_days)


def _issue_tokens(session: Session, user: User, *, session_id: uuid.UUID) -> Tokens:
    refresh_token = new_secret()
    session.add(
        RefreshToken(user_id=user.id, family=session_id, token_hash=hash_of(refresh_token), expires_at=_session_end())
    )
    return Tokens(
        access_token=access_tokens.issue(
            AccessToken(
                user_id=user.id,
                token_version=user.token_version,
                session_id=session_id,
                expires_at=datetime.datetime.now(datetime.UTC) + access_tokens.lifetime(),
            )
        ),
        expires_in=int(access_tokens.lifetime().total_seconds()),
        refresh_token=refresh_token,
    )
