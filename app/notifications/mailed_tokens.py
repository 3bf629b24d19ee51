"""Secrets that go out by mail: derived when a mail is composed, so that neither outbox nor database has any."""

import base64
import hmac
import uuid

from app.settings import get_settings


def mailed_token(token_id: uuid.UUID, *, made_by: str | None = None) -> str:
    """The secret that a row of `mailed_tokens` stands for; `made_by` names the key, which may have changed since."""
    keys = {key_name(secret): secret for secret in reversed(get_settings().verifying_keys)}
    # By a key that nobody has any more no link can be made: one that leads to "this link works no more" is as good.
    secret = keys.get(made_by or "", get_settings().secret_key.get_secret_value())
    key = hmac.digest(secret.encode(), b"fotograma mailed token", "sha256")
    return base64.urlsafe_b64encode(hmac.digest(key, token_id.bytes, "sha256")).decode().rstrip("=")


def key_name(secret: str) -> str:
    """What tells a key from the one before, and nothing of it."""
    return hmac.digest(secret.encode(), b"fotograma name of a key", "sha256")[:8].hex()
