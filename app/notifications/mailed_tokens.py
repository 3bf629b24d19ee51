"""Secrets that go out by mail: derived when a mail is composed, so that neither outbox nor database has any."""

import base64
import hmac
import uuid

from app.settings import get_settings


def mailed_token(token_id: uuid.UUID) -> str:
    """The secret that a row of `mailed_tokens` stands for."""
    key = hmac.digest(get_settings().secret_key.get_secret_value().encode(), b"fotograma mailed token", "sha256")
    return base64.urlsafe_b64encode(hmac.digest(key, token_id.bytes, "sha256")).decode().rstrip("=")
