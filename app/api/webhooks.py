"""Webhooks: addresses that are told when an extraction ends."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api.dependencies import CurrentUser, SessionDep
from app.api.error_responses import documented
from app.outbound import AddressRefused, Outbound, get_outbound
from app.webhooks import delivery_lifecycle, lifecycle, queries, signing
from app.webhooks.errors import DeliveryNotFound, TooManyWebhooks, WebhookDisabled, WebhookNotFound
from app.webhooks.models import Delivery, Webhook

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

OutboundDep = Annotated[Outbound, Depends(get_outbound)]
Url = Annotated[str, Field(max_length=2000, examples=["https://example.com/fotograma"])]


class NewWebhook(BaseModel):
    """Where to call."""

    url: Url


class WebhookChange(BaseModel):
    """What to change; what is left out stays."""

    url: Url | None = None
    enabled: bool | None = Field(default=None, description="`true` also forgets what went wrong before.")


class WebhookView(BaseModel):
    """A webhook as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    url: str
    created_at: datetime.datetime
    failing_since: datetime.datetime | None = Field(description="Since when no call was taken; null: all is well.")
    disabled_at: datetime.datetime | None = Field(description="Nothing is sent any more; null: enabled.")
    disabled_because: str | None
    old_secret_until: datetime.datetime | None = Field(description="Until when the secret before signs as well.")


class WebhookWithSecret(WebhookView):
    """A webhook and its secret, which is told this once."""

    secret: str = Field(description="Keep it: it is not told again.", examples=["whsec_..."])


class DeliveryView(BaseModel):
    """One message and what became of it."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(description="The header `webhook-id`.")
    status: str = Field(examples=["PENDING", "DELIVERED", "FAILED"])
    payload: dict[str, Any]
    attempts: int
    response_status: int | None = Field(description="What your server answered last.")
    error: str | None = Field(description="What went wrong last.")
    created_at: datetime.datetime
    attempted_at: datetime.datetime | None
    delivered_at: datetime.datetime | None
    not_before: datetime.datetime = Field(description="While it is PENDING: when it is tried next.")


def get_current_webhook(webhook_id: uuid.UUID, session: SessionDep, user: CurrentUser) -> Webhook:
    """The webhook that the path names, or 404."""
    return queries.get_webhook(session, webhook_id, user_id=user.id, for_update=True)


CurrentWebhook = Annotated[Webhook, Depends(get_current_webhook)]


@router.post(
    "", status_code=201, response_model=WebhookWithSecret, responses=documented(AddressRefused, TooManyWebhooks)
)
def add_webhook(
    session: SessionDep, user: CurrentUser, outbound: OutboundDep, new: NewWebhook, response: Response
) -> WebhookWithSecret:
    """Be told at this address when an extraction ends; `docs/webhooks.md` tells how to receive."""
    webhook = lifecycle.add_webhook(session, user_id=user.id, url=new.url, outbound=outbound)
    response.headers["Location"] = f"/webhooks/{webhook.id}"
    return _with_secret(webhook)


@router.get("", response_model=list[WebhookView])
def list_webhooks(session: SessionDep, user: CurrentUser) -> Sequence[Webhook]:
    """Your webhooks, oldest first."""
    return queries.list_webhooks(session, user_id=user.id)


@router.get("/{webhook_id}", response_model=WebhookView, responses=documented(WebhookNotFound))
def get_webhook(webhook: CurrentWebhook) -> Webhook:
    """One webhook, and whether it works."""
    return webhook


@router.patch("/{webhook_id}", response_model=WebhookView, responses=documented(WebhookNotFound, AddressRefused))
def change_webhook(
    webhook_id: uuid.UUID, session: SessionDep, user: CurrentUser, outbound: OutboundDep, change: WebhookChange
) -> Webhook:
    """Move a webhook, disable it, or enable it again."""
    return lifecycle.change_webhook(
        session, webhook_id, user_id=user.id, url=change.url, enabled=change.enabled, outbound=outbound
    )


@router.delete("/{webhook_id}", status_code=204, responses=documented(WebhookNotFound))
def delete_webhook(webhook: CurrentWebhook, session: SessionDep) -> None:
    """Delete a webhook and what was sent to it; what is owed is not sent."""
    session.delete(webhook)


@router.post("/{webhook_id}/secret", response_model=WebhookWithSecret, responses=documented(WebhookNotFound))
def rotate_secret(webhook: CurrentWebhook, session: SessionDep) -> WebhookWithSecret:
    """Get a new secret. The one before signs as well until `old_secret_until`, so that no message is lost meanwhile."""
    return _with_secret(lifecycle.rotate_secret(session, webhook))


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    response_model=DeliveryView,
    responses=documented(WebhookNotFound, WebhookDisabled),
)
def send_test(webhook: CurrentWebhook, session: SessionDep, user: CurrentUser) -> Delivery:
    """Send a message of type `webhook.test`."""
    owed = delivery_lifecycle.owe(session, user_id=user.id, kind="webhook.test", data={}, webhook_id=webhook.id)
    if not owed:
        raise WebhookDisabled
    return owed[0]


@router.get("/{webhook_id}/deliveries", response_model=list[DeliveryView], responses=documented(WebhookNotFound))
def list_deliveries(
    webhook: CurrentWebhook,
    session: SessionDep,
    before: Annotated[uuid.UUID | None, Query(description="The last id of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Sequence[Delivery]:
    """What was sent to a webhook, or will be, newest first."""
    return queries.list_deliveries(session, webhook, before=before, limit=limit)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/resend",
    status_code=202,
    response_model=DeliveryView,
    responses=documented(WebhookNotFound, DeliveryNotFound, WebhookDisabled),
)
def resend(webhook: CurrentWebhook, delivery_id: uuid.UUID, session: SessionDep) -> Delivery:
    """Send a message once more, whatever became of it, under the same id."""
    delivery = queries.get_delivery(session, webhook, delivery_id)
    return delivery_lifecycle.resend(session, delivery, webhook)


def _with_secret(webhook: Webhook) -> WebhookWithSecret:
    told = WebhookView.model_validate(webhook).model_dump()
    return WebhookWithSecret(**told, secret=signing.spell(webhook.secret))
