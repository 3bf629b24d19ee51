"""Every change of the outbox.

    (owed) -> PENDING -> SENT
                 |-----> FAILED   the server refused it for good, or ten tries went wrong

A claim moves `not_before` ahead and raises the token; who dies with a mail in hand leaves it to fall due again.
"""

import datetime
import uuid
from email.utils import parseaddr
from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import task_queue
from app.database import after_commit, new_id
from app.notifications.models import Email
from app.settings import get_settings

Kind = Literal["completed", "failed", "expiring", "reset", "confirm", "invitation"]

HOLD = datetime.timedelta(seconds=45)
"""How long a claimed mail is its sender's. Longer than any sending takes (`sending.SEND_SECONDS`)."""

TRIES = 10

# 5 s, 15 s, 45 s ... 9 hours: quick over a hiccup, and an outage of half a day loses no mail.
FIRST_PAUSE_SECONDS = 5.0
PAUSE_GROWTH = 3

ERROR_MAX_CHARACTERS = 500


def owe_email(
    session: Session,
    *,
    kind: Kind,
    user_id: uuid.UUID | None,
    recipient: str,
    locale: str,
    facts: dict[str, Any],
    extraction_id: uuid.UUID | None = None,
    video_id: uuid.UUID | None = None,
) -> None:
    """Put a mail into the outbox, once for each kind and extraction or video, and ring when that is committed.

    `facts` is plain JSON. Completed: `filename`, `frames`, `archive_key`, `archive_bytes`, `download_name`, `video_id`,
    `warnings` (of `code` and `detail`) and perhaps `plan_sentence`. Failed: `filename`, `code`, `message`, `video_id`.
    Expiring: what completed has, and `expires_at`. Reset, confirm, invitation: `token_id`, `key` (which its link is
    made by), `email`, `expires_at`.
    """
    domain = parseaddr(get_settings().mail_from)[1].rpartition("@")[2]
    session.execute(
        insert(Email)
        .values(
            user_id=user_id,
            extraction_id=extraction_id,
            video_id=video_id,
            kind=kind,
            recipient=recipient,
            locale=locale,
            facts=facts,
            message_id=f"<{new_id()}@{domain}>",
        )
        .on_conflict_do_nothing()
    )
    after_commit(session, lambda: task_queue.ring(task_queue.EMAIL_TASK))


def claim_email(session: Session) -> Email | None:
    """The mail that has been due longest, held for the caller; commit before sending it."""
    due = (
        select(Email.id)
        .where(Email.status == "PENDING", Email.not_before <= func.now())
        .order_by(Email.not_before, Email.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return session.scalar(
        update(Email)
        .where(Email.id == due)
        .values(token=Email.token + 1, attempts=Email.attempts + 1, not_before=func.now() + HOLD)
        .returning(Email)
    )


def hasten(session: Session) -> int:
    """Let mails be tried now that wait for their next try, and tell how many; what a sender holds is left to it."""
    waiting = (Email.status == "PENDING", Email.not_before > func.now() + HOLD)
    hastened = session.scalars(update(Email).where(*waiting).values(not_before=func.now()).returning(Email.id)).all()
    if hastened:
        after_commit(session, lambda: task_queue.ring(task_queue.EMAIL_TASK))
    return len(hastened)


def mark_sent(session: Session, email: Email) -> None:
    """The server took it. This and what follows changes nothing once somebody else holds the mail."""
    _write(session, email, status="SENT", sent_at=func.now(), error=None)


def mark_retry(session: Session, email: Email, *, error: str) -> None:
    """Something on the way failed: try later, each time after a longer pause, and give up after `TRIES`."""
    if email.attempts >= TRIES:
        mark_failed(session, email, error=error)
        return
    pause_seconds = FIRST_PAUSE_SECONDS * PAUSE_GROWTH ** (email.attempts - 1)
    # A quarter more or less, so that mails that failed together don't come back together.
    pause = func.make_interval(0, 0, 0, 0, 0, 0, pause_seconds * (0.75 + func.random() / 2))
    _write(session, email, not_before=func.now() + pause, error=_printable(error))


def mark_failed(session: Session, email: Email, *, error: str) -> None:
    """It will never get through."""
    _write(session, email, status="FAILED", error=_printable(error))


def _write(session: Session, email: Email, **values: Any) -> None:
    held = (Email.id == email.id, Email.token == email.token, Email.status == "PENDING")
    session.execute(update(Email).where(*held).values(**values))


def _printable(error: str) -> str:
    """A server may say anything, also what PostgreSQL refuses."""
    return "".join(sign if sign.isprintable() else " " for sign in error)[:ERROR_MAX_CHARACTERS]
