"""Who is who."""

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from app.accounts import access_tokens
from app.accounts.errors import BadToken
from app.accounts.models import RefreshToken, User


def user_by_email(session: Session, email: str) -> User | None:
    """The user with that address, whatever its case."""
    return session.scalar(select(User).where(func.lower(User.email) == func.lower(email)))


def user_of_access_token(session: Session, text: str) -> User:
    """Whom a token speaks for; `BadToken` once its session has ended or the password was changed."""
    token = access_tokens.read(text)
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
