"""How API keys begin and end."""

import datetime
import uuid

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app import audit
from app.accounts.credentials import KEY_PREFIX, Scope, hash_of, new_secret
from app.accounts.errors import KeyNotFound, TooManyKeys
from app.accounts.models import ApiKey, User

MOST_KEYS = 100
SHOWN_CHARACTERS = 6
USE_NOTED_EVERY = datetime.timedelta(minutes=1)
"""A key's last use is not written down more often than this."""


def make_key(
    session: Session,
    user: User,
    *,
    name: str,
    scopes: list[Scope],
    expires_at: datetime.datetime | None,
) -> tuple[ApiKey, str]:
    """Make a key; gives it as it is kept and as it is told, this once."""
    session.execute(select(User.id).where(User.id == user.id).with_for_update())
    if (session.scalar(select(func.count()).where(ApiKey.user_id == user.id)) or 0) >= MOST_KEYS:
        raise TooManyKeys
    secret = KEY_PREFIX + new_secret()
    key = ApiKey(
        user_id=user.id,
        name=name,
        prefix=secret[: len(KEY_PREFIX) + SHOWN_CHARACTERS],
        scopes=sorted(set(scopes)),
        key_hash=hash_of(secret),
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    audit.record(session, "key_made", user_id=user.id, name=name, prefix=key.prefix, scopes=key.scopes)
    return key, secret


def revoke_key(session: Session, key_id: uuid.UUID, *, user_id: uuid.UUID) -> None:
    """End a key, at once."""
    key = session.scalar(delete(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == user_id).returning(ApiKey))
    if key is None:
        raise KeyNotFound
    audit.record(session, "key_revoked", user_id=user_id, name=key.name, prefix=key.prefix)


def note_use(key: ApiKey) -> None:
    """Write down that a key is in use, now and then."""
    now = datetime.datetime.now(datetime.UTC)
    if key.last_used_at is None or key.last_used_at < now - USE_NOTED_EVERY:
        key.last_used_at = now
