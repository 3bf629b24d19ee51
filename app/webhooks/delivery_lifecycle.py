"""Every change of what is sent to webhooks.

    (owed) -> PENDING -> DELIVERED      the receiver answered 2xx
                 |-----> FAILED         ten tries went wrong, or the webhook was disabled
                 <-- resend --

A claim holds delivery and webhook, so that a receiver is called by one at a time; a call that goes wrong holds back all
that is owed to it, and a receiver that is away costs one call each pause, however much is owed.

Whoever locks a webhook and its deliveries locks the webhook first, or does not wait; the other order would deadlock.
"""

import datetime
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import and_, delete, func, literal, or_, select, update
from sqlalchemy.orm import Session

from app import task_queue
from app.database import after_commit
from app.settings import get_settings
from app.webhooks.errors import WebhookDisabled
from app.webhooks.models import Delivery, Webhook

HOLD = datetime.timedelta(seconds=45)
"""How long a claimed delivery is its sender's. Longer than any sending takes (`sending.SEND_SECONDS`)."""

TRIES = 10

# 5 s, 15 s, 45 s ... 9 hours for a message; for a webhook at most an hour, so that it is soon found to be back.
FIRST_PAUSE_SECONDS = 5.0
PAUSE_GROWTH = 3
WEBHOOK_LONGEST_PAUSE_SECONDS = 3600.0

# Fewer failures, however far apart, may be a quiet webhook's bad luck.
DISABLE_FAILURES = 10
GONE = 410
ERROR_MAX_CHARACTERS = 500

SLOW_SECONDS = 2.0
"""Who takes longer to answer waits for senders that are kept for such, until it answers soon again."""
# What `urlsplit` calls netloc.
HOST_IN_URL = func.lower(func.substring(Webhook.url, "^[^:]+://([^/?#]*)"))


@dataclass(frozen=True)
class Claim:
    """A delivery as its sender holds it."""

    delivery_id: uuid.UUID
    webhook_id: uuid.UUID
    user_id: uuid.UUID
    token: int
    attempts: int
    url: str
    payload: dict[str, Any]
    secrets: list[bytes]
    """All that sign now, the newest first."""

    @property
    def host(self) -> str:
        """Whom the call goes to, as `claim_delivery` compares it."""
        return urlsplit(self.url).netloc.lower()


def owe(
    session: Session, *, user_id: uuid.UUID, kind: str, data: Mapping[str, Any], webhook_id: uuid.UUID | None = None
) -> list[Delivery]:
    """Put a message into the outbox for each enabled webhook of the user, or for one; ring once it is committed."""
    # Kept from being deleted, or else a delivery to what is gone would undo all that this transaction does.
    enabled = (
        select(Webhook.id)
        .where(Webhook.user_id == user_id, Webhook.disabled_at.is_(None))
        .order_by(Webhook.id)
        .with_for_update(read=True, key_share=True)
    )
    if webhook_id is not None:
        enabled = enabled.where(Webhook.id == webhook_id)
    told = {"type": kind, "timestamp": datetime.datetime.now(datetime.UTC).isoformat(), "data": dict(data)}
    owed = [Delivery(webhook_id=found, payload=told) for found in session.scalars(enabled)]
    if owed:
        session.add_all(owed)
        session.flush()
        after_commit(session, lambda: task_queue.ring(task_queue.WEBHOOK_TASK))
    return owed


def resend(session: Session, delivery: Delivery, webhook: Webhook) -> Delivery:
    """Send it once more, whatever became of it: the same message under the same id."""
    if webhook.disabled_at is not None:
        raise WebhookDisabled
    delivery.status = "PENDING"
    delivery.token += 1
    delivery.attempts = 0
    delivery.not_before = webhook.not_before = func.now()
    delivery.error = None
    session.flush()
    after_commit(session, lambda: task_queue.ring(task_queue.WEBHOOK_TASK))
    return delivery


def claim_delivery(
    session: Session,
    *,
    is_quick: bool = False,
    without_users: Collection[uuid.UUID] = (),
    without_hosts: Collection[str] = (),
) -> Claim | None:
    """The message that has been due longest, held for the caller with its webhook; commit before sending it.

    With `is_quick` only of a webhook that has answered soon, or was never called.
    """
    row = session.execute(
        select(Delivery, Webhook)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(
            Delivery.status == "PENDING",
            Delivery.not_before <= func.now(),
            Webhook.not_before <= func.now(),
            Webhook.disabled_at.is_(None),
            Webhook.user_id.not_in(without_users),
            HOST_IN_URL.not_in(without_hosts),
            or_(literal(not is_quick), and_(Webhook.failures == 0, ~Webhook.is_slow)),
        )
        # Those that answer go before those that don't, who take a sender for as long as they are waited for.
        .order_by(or_(Webhook.failures > 0, Webhook.is_slow), Delivery.not_before, Delivery.id)
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True)
    ).one_or_none()
    if row is None:
        return None
    delivery, webhook = row
    delivery.token += 1
    delivery.attempts += 1
    delivery.attempted_at = func.now()
    delivery.not_before = webhook.not_before = func.now() + HOLD
    secrets = [webhook.secret]
    now = datetime.datetime.now(datetime.UTC)
    if webhook.old_secret is not None and webhook.old_secret_until is not None and webhook.old_secret_until > now:
        secrets.append(webhook.old_secret)
    claim = Claim(
        delivery_id=delivery.id,
        webhook_id=webhook.id,
        user_id=webhook.user_id,
        token=delivery.token,
        attempts=delivery.attempts,
        url=webhook.url,
        payload=delivery.payload,
        secrets=secrets,
    )
    session.flush()
    return claim


def mark_delivered(session: Session, claim: Claim, *, response_status: int, seconds: float = 0.0) -> None:
    """The receiver took it. This and what follows changes nothing once somebody else holds the delivery."""
    webhook = _hold_webhook(session, claim)
    values = {"status": "DELIVERED", "delivered_at": func.now(), "response_status": response_status, "error": None}
    if webhook is not None and _write(session, claim, **values):
        webhook.not_before = func.now()
        webhook.failures = 0
        webhook.is_slow = seconds > SLOW_SECONDS
        webhook.failing_since = None


def mark_retry(session: Session, claim: Claim, *, error: str, response_status: int | None = None) -> None:
    """It was not taken: try later, each time after a longer pause, and give up after `TRIES`. A webhook that wants no
    more, or has taken nothing for days, is disabled."""
    webhook = _hold_webhook(session, claim)
    is_last = claim.attempts >= TRIES
    pause_seconds = FIRST_PAUSE_SECONDS * PAUSE_GROWTH ** (claim.attempts - 1)
    values = {
        "status": "FAILED" if is_last else "PENDING",
        "not_before": func.now() + _pause(pause_seconds),
        "response_status": response_status,
        "error": _printable(error),
    }
    if webhook is None or not _write(session, claim, **values):
        return
    now = datetime.datetime.now(datetime.UTC)
    webhook.failures += 1
    webhook.failing_since = webhook.failing_since or now
    pause_seconds = min(FIRST_PAUSE_SECONDS * 2.0 ** min(webhook.failures - 1, 20), WEBHOOK_LONGEST_PAUSE_SECONDS)
    webhook.not_before = func.now() + _pause(pause_seconds)
    days = get_settings().webhook_failing_days
    if response_status == GONE:
        disable(session, webhook, because="It answered 410: it wants no more.")
    elif webhook.failures >= DISABLE_FAILURES and now - webhook.failing_since >= datetime.timedelta(days=days):
        disable(session, webhook, because=f"It has taken nothing for {days} days; the last error: {_printable(error)}")


def disable(session: Session, webhook: Webhook, *, because: str) -> None:
    """Tell it nothing more; what is owed to it has failed."""
    webhook.disabled_at = func.now()
    webhook.disabled_because = because
    session.execute(
        update(Delivery)
        .where(Delivery.webhook_id == webhook.id, Delivery.status == "PENDING")
        .values(status="FAILED", token=Delivery.token + 1, error="The webhook was disabled.")
    )


def forget_ended(session: Session) -> None:
    """Remove what ended long ago."""
    kept = datetime.timedelta(days=get_settings().retention_days)
    session.execute(delete(Delivery).where(Delivery.status != "PENDING", Delivery.created_at < func.now() - kept))


def _hold_webhook(session: Session, claim: Claim) -> Webhook | None:
    """Keep others from the webhook until this transaction ends; None where it was deleted."""
    held = select(Webhook).where(Webhook.id == claim.webhook_id).with_for_update(key_share=True)
    return session.scalars(held).one_or_none()


def _write(session: Session, claim: Claim, **values: Any) -> bool:
    held = (Delivery.id == claim.delivery_id, Delivery.token == claim.token, Delivery.status == "PENDING")
    return session.scalar(update(Delivery).where(*held).values(**values).returning(Delivery.id)) is not None


def _pause(seconds: float) -> Any:
    # A quarter more or less, so that what failed together doesn't come back together.
    return func.make_interval(0, 0, 0, 0, 0, 0, seconds * (0.75 + func.random() / 2))


def _printable(error: str) -> str:
    """A server may say anything, also what PostgreSQL refuses."""
    return "".join(sign if sign.isprintable() else " " for sign in error)[:ERROR_MAX_CHARACTERS]
