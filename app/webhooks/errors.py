"""What can be wrong with a webhook."""

from app.errors import Conflict, NotFound


class WebhookNotFound(NotFound):
    """There is no such webhook, or it is not yours."""

    code = "WEBHOOK_NOT_FOUND"


class DeliveryNotFound(NotFound):
    """This webhook has no such delivery; those that ended long ago are not kept."""

    code = "DELIVERY_NOT_FOUND"


class WebhookDisabled(Conflict):
    """The webhook is disabled; enable it first."""

    code = "WEBHOOK_DISABLED"


class TooManyWebhooks(Conflict):
    """You have as many webhooks as are allowed; delete one first."""

    code = "TOO_MANY_WEBHOOKS"
