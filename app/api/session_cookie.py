"""The cookie of a browser's session, and why no other page can make use of it.

Browsers send it by themselves, also with what a foreign page makes them ask. SameSite=Strict keeps it away from those;
that Origin must be ours holds where a browser does not know that, or where the foreign page is on a sister domain.
"""

from urllib.parse import urlsplit

from fastapi import Request, Response

from app.accounts.errors import BadOrigin
from app.settings import get_settings

NAME = "fotograma_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def set_session_cookie(response: Response, secret: str) -> None:
    """Have the browser keep a session."""
    settings = get_settings()
    response.set_cookie(
        NAME,
        secret,
        max_age=settings.refresh_token_expire_days * 86400,
        path=settings.public_path or "/",
        httponly=True,
        samesite="strict",
        secure=settings.public_url.startswith("https:"),
    )


def clear_session_cookie(response: Response) -> None:
    """Have the browser forget its session."""
    settings = get_settings()
    response.delete_cookie(
        NAME,
        path=settings.public_path or "/",
        httponly=True,
        samesite="strict",
        secure=settings.public_url.startswith("https:"),
    )


def check_origin(request: Request) -> None:
    """`BadOrigin` where a request changes something and does not say that it comes from a page of ours."""
    if request.method not in SAFE_METHODS and not is_ours(request.headers.get("Origin"), request):
        raise BadOrigin


def is_ours(origin: str | None, request: Request) -> bool:
    """Whether an Origin is PUBLIC_URL's or that of the address which was asked."""
    if origin is None:
        return False
    public, theirs = urlsplit(get_settings().public_url), urlsplit(origin)
    # Whether TLS ends before us, only a trusted proxy could say; a page without it is no page of a service with it.
    return theirs.scheme in {"https", public.scheme} and theirs.netloc in {public.netloc, request.headers.get("Host")}
