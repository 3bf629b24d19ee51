"""Signing in by a provider: the way there and back."""

import datetime
import hmac
from dataclasses import asdict
from typing import Annotated

import jwt
import structlog
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.accounts import identity_lifecycle, oidc
from app.accounts.errors import BadErrand, ProviderRefused, ProviderUnknown
from app.accounts.oidc import Errand
from app.api.dependencies import SettingsDep
from app.api.error_responses import documented
from app.api.session_cookie import set_session_cookie
from app.api.users import Locale
from app.database import open_session
from app.errors import ServiceError
from app.settings import OidcProvider, Settings

logger = structlog.get_logger()

router = APIRouter(prefix="/auth/oidc", tags=["auth"])

COOKIE = "fotograma_oidc"
ERRAND_GOOD_FOR = datetime.timedelta(minutes=10)
ALGORITHM = "HS256"

REDIRECT = {"description": "On to the page, signed in or with `#error=CODE`."}


@router.get(
    "/{provider}/start",
    status_code=302,
    response_class=RedirectResponse,
    responses={302: {"description": "To the provider."}, **documented(ProviderUnknown)},
)
def start(provider: str, settings: SettingsDep, locale: Locale = "en") -> Response:
    """Go to a provider to sign in; it sends you back, and the page is signed in. A new account has that `locale`."""
    named = _provider(settings, provider)
    try:
        errand, url = oidc.begin(named, redirect_uri=_redirect_uri(settings, named), locale=locale)
    except ServiceError as error:
        return _back(settings, error)
    response = RedirectResponse(url, status_code=302)
    response.set_cookie(
        COOKIE,
        _seal(settings, errand),
        max_age=int(ERRAND_GOOD_FOR.total_seconds()),
        path=_cookie_path(settings),
        httponly=True,
        # The way back begins on the provider's page: a stricter cookie would stay behind.
        samesite="lax",
        secure=settings.public_url.startswith("https:"),
    )
    response.headers["Cache-Control"] = "no-store"
    return response


@router.get(
    "/{provider}/callback",
    status_code=303,
    response_class=RedirectResponse,
    responses={303: REDIRECT, **documented(ProviderUnknown)},
)
def callback(
    provider: str,
    request: Request,
    settings: SettingsDep,
    code: Annotated[str, Query(max_length=4096)] = "",
    state: Annotated[str, Query(max_length=200)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Where a provider sends you back to."""
    named = _provider(settings, provider)
    try:
        errand = _unseal(settings, request.cookies.get(COOKIE, ""))
        if errand.provider != named.id or errand.state != state:
            raise BadErrand
        if error or not code:
            raise ProviderRefused
        claimed = oidc.finish(named, errand, code=code, redirect_uri=_redirect_uri(settings, named))
        with open_session() as session:
            _, secret = identity_lifecycle.sign_in(session, claimed, locale=errand.locale)
    except ServiceError as refusal:
        response = _back(settings, refusal)
    else:
        response = RedirectResponse(f"{settings.public_url.rstrip('/')}/", status_code=303)
        set_session_cookie(response, secret)
    response.delete_cookie(COOKIE, path=_cookie_path(settings), httponly=True, samesite="lax")
    response.headers["Cache-Control"] = "no-store"
    return response


def _back(settings: Settings, refusal: ServiceError) -> Response:
    logger.info("sign-in by a provider refused", code=refusal.code)
    return RedirectResponse(f"{settings.public_url.rstrip('/')}/sign-in#error={refusal.code}", status_code=303)


def _provider(settings: Settings, name: str) -> OidcProvider:
    for provider in settings.sign_in_providers:
        if provider.id == name:
            return provider
    raise ProviderUnknown


def _redirect_uri(settings: Settings, provider: OidcProvider) -> str:
    return f"{settings.public_url.rstrip('/')}/auth/oidc/{provider.id}/callback"


def _cookie_path(settings: Settings) -> str:
    return f"{settings.public_path}/auth/oidc"


def _seal(settings: Settings, errand: Errand) -> str:
    claims = {**asdict(errand), "aud": COOKIE, "exp": datetime.datetime.now(datetime.UTC) + ERRAND_GOOD_FOR}
    return jwt.encode(claims, _errand_key(settings), algorithm=ALGORITHM)


def _unseal(settings: Settings, text: str) -> Errand:
    try:
        claims = jwt.decode(
            text, _errand_key(settings), algorithms=[ALGORITHM], audience=COOKIE, options={"require": ["exp", "aud"]}
        )
        return Errand(**{name: claims[name] for name in ("provider", "state", "nonce", "verifier", "locale")})
    except (jwt.PyJWTError, RecursionError, KeyError):
        raise BadErrand from None


def _errand_key(settings: Settings) -> bytes:
    return hmac.digest(settings.secret_key.get_secret_value().encode(), b"fotograma errand to a provider", "sha256")
