"""What a request shows to say who asks: an access token, the cookie of a browser's session, or an API key."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

from app.accounts.access_tokens import AccessToken


@dataclass(frozen=True)
class SessionToken:
    """The cookie of a browser's session, as it is kept."""

    token_hash: bytes


@dataclass(frozen=True)
class KeyToken:
    """An API key, as it is kept."""

    key_hash: bytes


Credential = AccessToken | SessionToken | KeyToken

KEY_PREFIX = "fg_"
"""Tells a key from a token, and tools that look for leaked secrets what they have found."""

Scope = Literal["read", "write", "account"]
"""`read`: look at and download what is there. `write`: upload, extract, cancel, delete. `account`: the account itself,
its keys and, where the user is one, what admins may."""
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))


def new_secret() -> str:
    """A text that nobody guesses."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> bytes:
    """What is kept of such a text. One hash is enough: there are too many of them to try."""
    return hashlib.sha256(secret.encode()).digest()
