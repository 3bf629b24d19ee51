"""Who is who."""

from collections.abc import Collection

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from app.accounts.access_tokens import AccessToken
from app.accounts.errors import BadToken
from app.accounts.models import RefreshToken, User


def user_by_email(session: Session, email: str) -> User | None:
    """The user with that address, whatever its case."""
    return session.scalar(select(User).where(func.lower(User.email) == func.lower(email)))


def user_of_access_token(session: Session, token: AccessToken) -> User:
    """Whom a token speaks for; `BadToken` once its session has ended or the password was changed."""
    user = session.scalar(
        select(User).where(
            User.id == token.user_id,
            User.token_version == token.token_version,
            exists().where(RefreshToken.family == token.session_id),
        )
    )
    if user is None:
        raise BadToken
    return user


def still_good(session: Session, tokens: Collection[AccessToken]) -> set[AccessToken]:
    """Those of the tokens that would be taken now."""
    sessions = (
        select(User.id, User.token_version, RefreshToken.family)
        .join(RefreshToken, RefreshToken.user_id == User.id)
        .where(RefreshToken.family.in_({token.session_id for token in tokens}))
        .distinct()
    )
    present = {tuple(row) for row in session.execute(sessions)}
    return {
        token
        for token in tokens
        if not token.has_expired and (token.user_id, token.token_version, token.session_id) in present
    }
