"""What was done with accounts and their things, by whom and from where: written once, kept for a time."""

import datetime
import uuid
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Index, delete, exists, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.database import Base, new_id
from app.settings import get_settings

Action = Literal[
    "signed_up",
    "signed_in",
    "sign_in_failed",
    "signed_out",
    "password_changed",
    "password_reset_asked",
    "password_reset",
    "email_confirmed",
    "key_made",
    "key_revoked",
    "archive_downloaded",
    "selection_downloaded",
    "video_downloaded",
    "link_made",
    "link_mailed",
    "link_used",
    "video_deleted",
    "account_deleted",
    "identity_linked",
    "invited",
    "role_changed",
    "quotas_changed",
    "disabled",
    "enabled",
    "dead_letter_retried",
]

asked_from: ContextVar[str | None] = ContextVar("asked_from", default=None)
"""The address of the request that is being answered; empty on an operator's command line."""


class Entry(Base):
    """One act. The table takes no changes."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_user_id_id", "user_id", "id"), Index("ix_audit_log_at", "at"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    user_id: Mapped[uuid.UUID | None]
    """Whose account or thing it was. No foreign key: what was done outlives who did it."""
    by: Mapped[uuid.UUID | None]
    """The admin who did it to somebody else."""
    action: Mapped[str]
    address: Mapped[str | None]
    detail: Mapped[dict[str, Any]]


@dataclass(frozen=True)
class Page:
    """Some entries, newest first."""

    items: Sequence[Entry]
    next_cursor: uuid.UUID | None
    """Where the next page begins; None on the last."""


def record(
    session: Session, action: Action, *, user_id: uuid.UUID | None, by: uuid.UUID | None = None, **detail: Any
) -> None:
    """Write down an act, in the transaction that does it."""
    session.add(Entry(action=action, user_id=user_id, by=by, address=asked_from.get(), detail=detail))


def record_unless_lately(session: Session, action: Action, *, user_id: uuid.UUID, **detail: Any) -> None:
    """Write down that something goes on, unless this address began it within the hour."""
    entries = exists().where(
        Entry.user_id == user_id,
        Entry.action == action,
        Entry.address.is_not_distinct_from(asked_from.get()),
        Entry.at > func.now() - datetime.timedelta(hours=1),
        Entry.detail == detail,
    )
    if not session.scalar(select(entries)):
        record(session, action, user_id=user_id, **detail)


def read(
    session: Session, *, user_id: uuid.UUID | None = None, before: uuid.UUID | None = None, limit: int = 50
) -> Page:
    """What was done, of one user or of all."""
    entries = select(Entry).order_by(Entry.id.desc()).limit(limit + 1)
    if user_id is not None:
        entries = entries.where(Entry.user_id == user_id)
    if before is not None:
        entries = entries.where(Entry.id < before)
    found = session.scalars(entries).all()
    return Page(items=found[:limit], next_cursor=found[limit - 1].id if len(found) > limit else None)


def forget_old(session: Session) -> None:
    """Remove what was kept for its time."""
    session.execute(
        delete(Entry).where(Entry.at < func.now() - datetime.timedelta(days=get_settings().audit_retention_days))
    )
