"""Signatures by Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body."""

import base64
import hmac
import secrets

SECRET_BYTES = 32


def new_secret() -> bytes:
    """A secret nobody knows yet."""
    return secrets.token_bytes(SECRET_BYTES)


def spell(secret: bytes) -> str:
    """A secret as receivers are given it."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def sign(body: bytes, *, message_id: str, timestamp: int, secrets: list[bytes]) -> str:
    """The header webhook-signature: one signature for each secret, any of which is enough."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(secret, signed, "sha256") for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
