"""Who is who."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import Session

from app.accounts.access_tokens import AccessToken
from app.accounts.credentials import SCOPES, Credential, KeyToken, SessionToken
from app.accounts.errors import BadToken
from app.accounts.models import ApiKey, BrowserSession, RefreshToken, User


@dataclass(frozen=True)
class Asker:
    """Whom a credential speaks for."""

    user: User
    credential: Credential
    scopes: frozenset[str] = SCOPES
    """What it may do; less than all for an API key."""
    browser_session: BrowserSession | None = None
    """Where the credential is its cookie."""
    key: ApiKey | None = None
    """Where the credential is one."""


def user_by_email(session: Session, email: str) -> User | None:
    """The user with that address, whatever its case."""
    return session.scalar(select(User).where(func.lower(User.email) == func.lower(email)))


def asker(session: Session, credential: Credential) -> Asker:
    """Whom a credential speaks for; `BadToken` once its session has ended or the password was changed."""
    if isinstance(credential, SessionToken):
        row = session.execute(
            select(User, BrowserSession)
            .join(BrowserSession, BrowserSession.user_id == User.id)
            .where(
                BrowserSession.token_hash == credential.token_hash,
                BrowserSession.expires_at > func.now(),
                User.disabled_at.is_(None),
            )
        ).one_or_none()
        if row is not None:
            return Asker(user=row[0], credential=credential, browser_session=row[1])
    elif isinstance(credential, KeyToken):
        found = session.execute(
            select(User, ApiKey)
            .join(ApiKey, ApiKey.user_id == User.id)
            .where(ApiKey.key_hash == credential.key_hash, *_works(ApiKey), User.disabled_at.is_(None))
        ).one_or_none()
        if found is not None:
            return Asker(user=found[0], credential=credential, scopes=frozenset(found[1].scopes), key=found[1])
    else:
        user = session.scalar(
            select(User).where(
                User.id == credential.user_id,
                User.token_version == credential.token_version,
                User.disabled_at.is_(None),
                exists().where(RefreshToken.family == credential.session_id),
            )
        )
        if user is not None:
            return Asker(user=user, credential=credential)
    raise BadToken


def still_good(session: Session, credentials: Collection[Credential]) -> set[Credential]:
    """Those of the credentials that would be taken now."""
    tokens = {shown for shown in credentials if isinstance(shown, AccessToken)}
    cookies = {shown for shown in credentials if isinstance(shown, SessionToken)}
    sessions = (
        select(User.id, User.token_version, RefreshToken.family)
        .join(RefreshToken, RefreshToken.user_id == User.id)
        .where(RefreshToken.family.in_({token.session_id for token in tokens}))
        .distinct()
    )
    keys = {shown for shown in credentials if isinstance(shown, KeyToken)}
    working_keys = session.scalars(
        select(ApiKey.key_hash).where(ApiKey.key_hash.in_({key.key_hash for key in keys}), *_works(ApiKey))
    )
    present = {tuple(row) for row in session.execute(sessions)}
    open_sessions = session.scalars(
        select(BrowserSession.token_hash).where(
            BrowserSession.token_hash.in_({cookie.token_hash for cookie in cookies}),
            BrowserSession.expires_at > func.now(),
        )
    )
    good_tokens = {
        token
        for token in tokens
        if not token.has_expired and (token.user_id, token.token_version, token.session_id) in present
    }
    return {*good_tokens, *map(SessionToken, open_sessions), *map(KeyToken, working_keys)}


def list_users(
    session: Session, *, search: str, before: uuid.UUID | None, limit: int
) -> tuple[Sequence[User], uuid.UUID | None]:
    """Some of all users, newest first, and where the next of them begin."""
    users = select(User).order_by(User.id.desc()).limit(limit + 1)
    if search:
        users = users.where(User.email.icontains(search, autoescape=True))
    if before is not None:
        users = users.where(User.id < before)
    found = session.scalars(users).all()
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def emails_of(session: Session, user_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """The addresses of those of them that still have an account."""
    return dict(session.execute(select(User.id, User.email).where(User.id.in_(user_ids))).all())


def list_keys(session: Session, *, user_id: uuid.UUID) -> Sequence[ApiKey]:
    """The user's API keys, newest first."""
    return session.scalars(select(ApiKey).where(ApiKey.user_id == user_id).order_by(ApiKey.id.desc())).all()


def _works(key: type[ApiKey]) -> tuple[ColumnElement[bool], ...]:
    return (or_(key.expires_at.is_(None), key.expires_at > func.now()),)
