"""Every change of a webhook by its user.

    enabled ──refused with 410, failing for days, or by its user──> disabled ──by its user──> enabled

What is sent there moves in `app.webhooks.delivery_lifecycle`.
"""

import datetime
import uuid

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts.models import User
from app.errors import Unauthenticated
from app.outbound import Outbound
from app.settings import get_settings
from app.webhooks import delivery_lifecycle, queries, signing
from app.webhooks.errors import TooManyWebhooks
from app.webhooks.models import Webhook

BY_USER = "You disabled it."


def add_webhook(session: Session, *, user_id: uuid.UUID, url: str, outbound: Outbound) -> Webhook:
    """Tell this address from now on."""
    # Before anything is asked of the database: it may take seconds.
    outbound.check(url)
    # The user's row is the gate: of two that both just fit, the second sees the first.
    if session.scalar(select(User.id).where(User.id == user_id).with_for_update()) is None:
        raise Unauthenticated
    count = session.scalar(select(func.count()).where(Webhook.user_id == user_id)) or 0
    if count >= get_settings().user_webhooks:
        raise TooManyWebhooks
    webhook = Webhook(user_id=user_id, url=url, secret=signing.new_secret())
    session.add(webhook)
    session.flush()
    return webhook


def change_webhook(
    session: Session,
    webhook_id: uuid.UUID,
    *,
    user_id: uuid.UUID,
    url: str | None,
    enabled: bool | None,
    outbound: Outbound,
) -> Webhook:
    """Move a webhook elsewhere, disable it, or enable it again as if nothing had gone wrong."""
    if url is not None:
        outbound.check(url)
    webhook = queries.get_webhook(session, webhook_id, user_id=user_id, for_update=True)
    if url is not None:
        webhook.url = url
        webhook.is_slow = False
        webhook.not_before = func.now()
    if enabled is False and webhook.disabled_at is None:
        delivery_lifecycle.disable(session, webhook, because=BY_USER)
    if enabled is True:
        webhook.disabled_at = webhook.disabled_because = webhook.failing_since = None
        webhook.failures = 0
        webhook.not_before = func.now()
    session.flush()
    return webhook


def rotate_secret(session: Session, webhook: Webhook) -> Webhook:
    """A new secret signs from now on, and the one before beside it for a while."""
    overlap = datetime.timedelta(hours=get_settings().webhook_secret_overlap_hours)
    webhook.old_secret = webhook.secret
    webhook.old_secret_until = datetime.datetime.now(datetime.UTC) + overlap
    webhook.secret = signing.new_secret()
    session.flush()
    return webhook
