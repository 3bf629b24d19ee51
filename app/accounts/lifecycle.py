"""How accounts begin, change and end."""

from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.accounts import passwords, session_lifecycle
from app.accounts.errors import BadToken, EmailTaken, SignupClosed, WrongPassword
from app.accounts.models import User
from app.accounts.sign_in_limit import get_sign_in_limit
from app.settings import get_settings


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
    return changed


def delete_user(session: Session, user: User) -> None:
    """End an account; every row of it goes along."""
    session.execute(delete(User).where(User.id == user.id))
