"""Every read of webhooks and what was sent to them; each names the owner."""

import uuid
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.webhooks.errors import DeliveryNotFound, WebhookNotFound
from app.webhooks.models import Delivery, Webhook


def get_webhook(session: Session, webhook_id: uuid.UUID, *, user_id: uuid.UUID, for_update: bool = False) -> Webhook:
    """The user's webhook; `for_update`, kept from others until this transaction ends."""
    found = select(Webhook).where(Webhook.id == webhook_id, Webhook.user_id == user_id)
    webhook = session.scalars(found.with_for_update(key_share=True) if for_update else found).one_or_none()
    if webhook is None:
        raise WebhookNotFound
    return webhook


def list_webhooks(session: Session, *, user_id: uuid.UUID) -> Sequence[Webhook]:
    """The user's webhooks, oldest first."""
    return session.scalars(
        select(Webhook).where(Webhook.user_id == user_id).order_by(Webhook.created_at, Webhook.id)
    ).all()


def list_deliveries(session: Session, webhook: Webhook, *, before: uuid.UUID | None, limit: int) -> Sequence[Delivery]:
    """What was sent to a webhook or is owed to it, newest first, from the one before `before` on."""
    # Ids sort by the time they were made.
    deliveries = select(Delivery).where(Delivery.webhook_id == webhook.id)
    if before is not None:
        deliveries = deliveries.where(Delivery.id < before)
    return session.scalars(deliveries.order_by(Delivery.id.desc()).limit(limit)).all()


def get_delivery(session: Session, webhook: Webhook, delivery_id: uuid.UUID) -> Delivery:
    """One message to a webhook, kept from others until this transaction ends."""
    delivery = session.scalars(
        select(Delivery).where(Delivery.id == delivery_id, Delivery.webhook_id == webhook.id).with_for_update()
    ).one_or_none()
    if delivery is None:
        raise DeliveryNotFound
    return delivery


def due(session: Session) -> int:
    """How many messages wait for a sender now."""
    waiting = (
        select(func.count())
        .select_from(Delivery)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(
            Delivery.status == "PENDING",
            Delivery.not_before <= func.now(),
            Webhook.not_before <= func.now(),
            Webhook.disabled_at.is_(None),
        )
    )
    return session.scalar(waiting) or 0
