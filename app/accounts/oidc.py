"""Providers that say who somebody is: OpenID Connect, and GitHub, which has its own way for people.

Authorization code with PKCE. What a provider says is believed for its signature, issuer, audience, time and nonce, or,
with GitHub, for having come from it by TLS.
"""

import base64
import datetime
import hashlib
import secrets
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx2
import jwt

from app.accounts.errors import ProviderFailed, ProviderRefused
from app.settings import OidcProvider

# Never a symmetric one: the client's secret signs nothing here.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
CLAIMS = ["iss", "aud", "exp", "iat", "sub"]
LEEWAY = datetime.timedelta(seconds=30)
TIMEOUT_SECONDS = 5.0
ANSWER_MAX_BYTES = 2**20
# A provider changes its addresses hardly ever, and its keys some time before it uses them.
KEEP_SECONDS = 3600.0


@dataclass(frozen=True)
class Errand:
    """What is kept in the browser between its way there and back."""

    provider: str
    state: str
    nonce: str
    verifier: str
    locale: str
    """The language it began in, which a new account has then."""


@dataclass(frozen=True)
class Claimed:
    """Who somebody is, by a provider."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool


def begin(provider: OidcProvider, *, redirect_uri: str, locale: str) -> tuple[Errand, str]:
    """What to keep, and where to send the browser."""
    errand = Errand(
        provider=provider.id,
        state=secrets.token_urlsafe(24),
        nonce=secrets.token_urlsafe(24),
        verifier=secrets.token_urlsafe(48),
        locale=locale,
    )
    digest = hashlib.sha256(errand.verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": "read:user user:email" if provider.is_github else "openid email profile",
        "state": errand.state,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    if not provider.is_github:
        asked["nonce"] = errand.nonce
    return errand, f"{_places(provider)['authorization_endpoint']}?{urlencode(asked)}"


def finish(provider: OidcProvider, errand: Errand, *, code: str, redirect_uri: str) -> Claimed:
    """Who came back with `code`."""
    places = _places(provider)
    secret = provider.client_secret.get_secret_value()
    data = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "client_id": provider.client_id,
        "code_verifier": errand.verifier,
    }
    login = None
    # Where a provider doesn't say how, the standard does.
    if "client_secret_post" in places.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
        data["client_secret"] = secret
    else:
        login = (quote_plus(provider.client_id), quote_plus(secret))
    answer = _ask("POST", places["token_endpoint"], data=data, login=login)
    if "error" in answer:
        raise ProviderRefused
    if provider.is_github:
        return _github_user(provider, answer.get("access_token"), places)
    claims = _verified(provider, answer.get("id_token"), nonce=errand.nonce)
    if "email" not in claims and "userinfo_endpoint" in places:
        said = _ask("GET", places["userinfo_endpoint"], token=answer.get("access_token"))
        if said.get("sub") != claims["sub"]:
            raise ProviderFailed
        claims = {**said, **claims}
    return Claimed(
        issuer=provider.issuer,
        subject=str(claims["sub"]),
        email=claims.get("email"),
        email_verified=claims.get("email_verified") in (True, "true"),
    )


def _github_user(provider: OidcProvider, token: str | None, places: dict[str, Any]) -> Claimed:
    user = _ask("GET", places["userinfo_endpoint"], token=token)
    emails = _ask("GET", f"{places['userinfo_endpoint']}/emails", token=token)
    if "id" not in user or not isinstance(emails, list):
        raise ProviderFailed
    primary: dict[str, Any] = next((email for email in emails if email.get("primary")), {})
    return Claimed(
        issuer=provider.issuer,
        subject=str(user["id"]),
        email=primary.get("email"),
        email_verified=primary.get("verified") is True,
    )


def _verified(provider: OidcProvider, id_token: Any, *, nonce: str) -> dict[str, Any]:
    try:
        claims = jwt.decode(
            id_token,
            _key(provider, jwt.get_unverified_header(id_token)),
            algorithms=ALGORITHMS,
            issuer=provider.issuer,
            audience=provider.client_id,
            leeway=LEEWAY,
            options={"require": CLAIMS},
        )
    except (jwt.PyJWTError, RecursionError, TypeError, ValueError):
        raise ProviderFailed from None
    parties = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if claims.get("nonce") != nonce or (len(parties) > 1 and claims.get("azp") != provider.client_id):
        raise ProviderFailed
    return claims


def _key(provider: OidcProvider, header: dict[str, Any]) -> jwt.PyJWK:
    place = _places(provider)["jwks_uri"]
    for hour in (_hour(), None):
        # The second time anew: the key may be newer than what was kept.
        kept = _kept_json(place, hour) if hour is not None else _ask("GET", place)
        keys = [key for key in jwt.PyJWKSet.from_dict(kept).keys if key.public_key_use in (None, "sig")]
        # Who has but one key need not name it.
        fitting = [key for key in keys if key.key_id == header.get("kid")] or (keys if "kid" not in header else [])
        if len(fitting) == 1:
            return fitting[0]
    raise ProviderFailed


def _places(provider: OidcProvider) -> dict[str, Any]:
    issuer = provider.issuer.rstrip("/")
    if provider.is_github:
        api = "https://api.github.com" if issuer == "https://github.com" else f"{issuer}/api/v3"
        return {
            "authorization_endpoint": f"{issuer}/login/oauth/authorize",
            "token_endpoint": f"{issuer}/login/oauth/access_token",
            "userinfo_endpoint": f"{api}/user",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }
    places = _kept_json(f"{issuer}/.well-known/openid-configuration", _hour())
    if places.get("issuer") != provider.issuer:
        raise ProviderFailed
    return dict(places)


def _hour() -> int:
    return int(time.monotonic() // KEEP_SECONDS)


@lru_cache(maxsize=64)
def _kept_json(url: str, _: int) -> Any:
    return _ask("GET", url)


def _ask(
    method: str,
    url: str,
    *,
    token: str | None = None,
    data: dict[str, str] | None = None,
    login: tuple[str, str] | None = None,
) -> Any:
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    try:
        with (
            httpx2.Client(timeout=TIMEOUT_SECONDS) as client,
            client.stream(method, url, data=data, headers=headers, auth=login) as answer,
        ):
            body = b""
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > ANSWER_MAX_BYTES:
                    raise ProviderFailed
        # A code that is used or wrong is told with 400 and a reason.
        if not answer.is_success and answer.status_code not in (400, 401):
            raise ProviderFailed
        return httpx2.Response(200, content=body).json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        raise ProviderFailed from None
