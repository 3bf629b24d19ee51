"""Who is who."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from app.accounts.access_tokens import AccessToken
from app.accounts.credentials import Credential, SessionToken
from app.accounts.errors import BadToken
from app.accounts.models import BrowserSession, RefreshToken, User


@dataclass(frozen=True)
class Asker:
    """Whom a credential speaks for."""

    user: User
    credential: Credential
    browser_session: BrowserSession | None = None
    """Where the credential is its cookie."""


def user_by_email(session: Session, email: str) -> User | None:
    """The user with that address, whatever its case."""
    return session.scalar(select(User).where(func.lower(User.email) == func.lower(email)))


def asker(session: Session, credential: Credential) -> Asker:
    """Whom a credential speaks for; `BadToken` once its session has ended or the password was changed."""
    if isinstance(credential, SessionToken):
        row = session.execute(
            select(User, BrowserSession)
            .join(BrowserSession, BrowserSession.user_id == User.id)
            .where(BrowserSession.token_hash == credential.token_hash, BrowserSession.expires_at > func.now())
        ).one_or_none()
        if row is not None:
            return Asker(user=row[0], credential=credential, browser_session=row[1])
    else:
        user = session.scalar(
            select(User).where(
                User.id == credential.user_id,
                User.token_version == credential.token_version,
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
    present = {tuple(row) for row in session.execute(sessions)}
    open_sessions = session.scalars(
        select(BrowserSession.token_hash).where(
            BrowserSession.token_hash.in_({cookie.token_hash for cookie in cookies}),
            BrowserSession.expires_at > func.now(),
        )
    )
    return {SessionToken(token_hash) for token_hash in open_sessions} | {
        token
        for token in tokens
        if not token.has_expired and (token.user_id, token.token_version, token.session_id) in present
    }
