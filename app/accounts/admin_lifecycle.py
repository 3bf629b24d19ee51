"""What admins do with the accounts of others. Each act is in the audit log of the account it was done to."""

import datetime
import uuid
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.accounts import session_lifecycle
from app.accounts.errors import NotYourself, UserNotFound
from app.accounts.models import Role, User


def change_user(
    session: Session,
    user_id: uuid.UUID,
    *,
    by: uuid.UUID | None,
    role: Role | None = None,
    disabled: bool | None = None,
    quotas: Mapping[str, int | None] | None = None,
) -> User:
    """Change an account; `by` is the admin, None an operator. A quota of None is what the settings say again."""
    user = session.scalar(select(User).where(User.id == user_id).with_for_update())
    if user is None:
        raise UserNotFound
    # Or the last admin could shut everybody out by a slip.
    if user.id == by and (role == "user" or disabled):
        raise NotYourself
    if role is not None and role != user.role:
        user.role = role
        audit.record(session, "role_changed", user_id=user.id, by=by, role=role)
    if disabled is not None and disabled != (user.disabled_at is not None):
        user.disabled_at = datetime.datetime.now(datetime.UTC) if disabled else None
        if disabled:
            user.token_version += 1
            session_lifecycle.end_all(session, user_id=user.id)
        audit.record(session, "disabled" if disabled else "enabled", user_id=user.id, by=by)
    if quotas:
        changed = {**user.quotas, **quotas}
        user.quotas = {name: most for name, most in changed.items() if most is not None}
        audit.record(session, "quotas_changed", user_id=user.id, by=by, quotas=user.quotas)
    return user
