"""How accounts begin, change and end, and sessions with them."""

import datetime
import hashlib
import secrets
import uuid
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.accounts import access_tokens, passwords, queries
from app.accounts.access_tokens import AccessToken
from app.accounts.errors import BadCredentials, BadToken, EmailTaken, SignupClosed, WrongPassword
from app.accounts.models import RefreshToken, User
from app.accounts.sign_in_limit import get_sign_in_limit
from app.database import new_id, open_session
from app.settings import get_settings


@dataclass(frozen=True)
class Tokens:
    """What a client gets when it signs in."""

    access_token: str
    expires_in: int
    """Seconds the access token is good for."""
    refresh_token: str


def sign_up(session: Session, *, email: str, password: str, locale: str) -> User:
    """Make an account."""
    if get_settings().signup == "closed":
        raise SignupClosed
    user: User | None = session.scalar(
        insert(User)
        .values(email=email, password_hash=passwords.hash_password(password), locale=locale)
        .on_conflict_do_nothing()
        .returning(User)
    )
    if user is None:
        raise EmailTaken
    return user


def sign_in(*, email: str, password: str, address: str) -> Tokens:
    """Begin a session. It opens transactions itself, so that none waits while the password is verified."""
    limit = get_sign_in_limit()
    limit.check(email, address=address)
    with open_session() as session:
        user = queries.user_by_email(session, email)
    fits = passwords.password_fits(password, user.password_hash if user else None)
    # Again, because others of the same crowd may have failed meanwhile.
    limit.check(email, address=address)
    if user is None or not fits:
        limit.count_failure(email, address=address)
        raise BadCredentials
    with open_session() as session:
        locked = _lock(session, User.id == user.id, User.token_version == user.token_version)
        if locked is None:
            raise BadCredentials
        session.execute(
            delete(RefreshToken).where(RefreshToken.user_id == locked.id, RefreshToken.expires_at < func.now())
        )
        return _issue_tokens(session, locked, session_id=new_id())


def renew(refresh_token: str) -> Tokens:
    """Exchange a refresh token for the next pair. One that was used before was stolen: its whole session ends."""
    with open_session() as session:
        this_one = RefreshToken.token_hash == _hash_of(refresh_token)
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
    family = select(RefreshToken.family).where(RefreshToken.token_hash == _hash_of(refresh_token)).scalar_subquery()
    session.execute(delete(RefreshToken).where(RefreshToken.family == family))


def set_locale(session: Session, user: User, locale: str) -> User:
    """Choose the language of the user's e-mails."""
    changed: User | None = session.scalar(update(User).where(User.id == user.id).values(locale=locale).returning(User))
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
    session.execute(delete(RefreshToken).where(RefreshToken.user_id == user.id))
    return changed


def delete_user(session: Session, user: User) -> None:
    """End an account; every row of it goes along."""
    session.execute(delete(User).where(User.id == user.id))


def _lock(session: Session, *which: ColumnElement[bool]) -> User | None:
    # A password that changes, or an account that ends, waits until the new token is there to be deleted too.
    return session.scalar(select(User).where(*which).with_for_update(read=True))


def _issue_tokens(session: Session, user: User, *, session_id: uuid.UUID) -> Tokens:
    refresh_token = secrets.token_urlsafe(32)
    session.add(
        RefreshToken(
            user_id=user.id,
            family=session_id,
            token_hash=_hash_of(refresh_token),
            expires_at=datetime.datetime.now(datetime.UTC)
            + datetime.timedelta(days=get_settings().refresh_token_expire_days),
        )
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


def _hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
