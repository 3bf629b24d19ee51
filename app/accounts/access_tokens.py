"""Access tokens: short-lived JWTs that name a user, the user's token version and the session they belong to."""

import datetime
import hmac
import uuid
from dataclasses import dataclass
from typing import Any

import jwt

from app.accounts.errors import BadToken
from app.settings import get_settings

# One only, and never what the token says of itself.
ALGORITHM = "HS256"
ISSUER = "fotograma"
AUDIENCE = "fotograma-api"
CLAIMS = ["iss", "aud", "exp", "iat", "sub", "ver", "sid"]

# Clocks of several machines may differ by this much.
LEEWAY = datetime.timedelta(seconds=5)


@dataclass(frozen=True)
class AccessToken:
    """What a token says, once its signature holds."""

    user_id: uuid.UUID
    token_version: int
    session_id: uuid.UUID
    """The family of refresh tokens it came with: it ends with them."""
    expires_at: datetime.datetime

    @property
    def has_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at + LEEWAY < datetime.datetime.now(datetime.UTC)


def lifetime() -> datetime.timedelta:
    """How long a token is good for."""
    return datetime.timedelta(minutes=get_settings().access_token_expire_minutes)


def issue(token: AccessToken) -> str:
    """Sign a token."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": datetime.datetime.now(datetime.UTC),
        "exp": token.expires_at,
        "sub": str(token.user_id),
        "ver": token.token_version,
        "sid": str(token.session_id),
    }
    return jwt.encode(claims, _keys()[0], algorithm=ALGORITHM)


def read(text: str) -> AccessToken:
    """What a token says; `BadToken` for one that is not ours, or too old."""
    claims = _claims(text)
    return AccessToken(
        user_id=uuid.UUID(claims["sub"]),
        token_version=claims["ver"],
        session_id=uuid.UUID(claims["sid"]),
        expires_at=datetime.datetime.fromtimestamp(claims["exp"], datetime.UTC),
    )


def _claims(text: str) -> dict[str, Any]:
    for key in _keys():
        try:
            return jwt.decode(
                text,
                key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                leeway=LEEWAY,
                options={"require": CLAIMS},
            )
        except jwt.InvalidSignatureError:
            continue
        # A header of thousands of brackets exhausts the JSON parser before the signature is looked at.
        except (jwt.PyJWTError, RecursionError):
            break
    raise BadToken


def _keys() -> list[bytes]:
    # Keys for this purpose alone: what else SECRET_KEY signs is no token.
    return [hmac.digest(key.encode(), b"fotograma access token", "sha256") for key in get_settings().verifying_keys]
