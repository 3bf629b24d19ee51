"""What a request shows to say who asks: an access token, or the cookie of a browser's session."""

import hashlib
import secrets
from dataclasses import dataclass

from app.accounts.access_tokens import AccessToken


@dataclass(frozen=True)
class SessionToken:
    """The cookie of a browser's session, as it is kept."""

    token_hash: bytes


Credential = AccessToken | SessionToken


def new_secret() -> str:
    """A text that nobody guesses."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> bytes:
    """What is kept of such a text. One hash is enough: there are too many of them to try."""
    return hashlib.sha256(secret.encode()).digest()
