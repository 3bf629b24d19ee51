"""The words endpoints ask for: a session, the user, the settings, the storage."""

import uuid
from collections.abc import Callable, Iterator
from typing import Annotated, Concatenate, ParamSpec, TypeVar

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyCookie, OAuth2PasswordBearer
from sqlalchemy.orm import Session
from structlog.contextvars import bind_contextvars

from app.accounts import access_tokens, key_lifecycle, queries, session_lifecycle
from app.accounts.access_tokens import AccessToken
from app.accounts.credentials import KEY_PREFIX, Credential, KeyToken, Scope, SessionToken, hash_of
from app.accounts.errors import ScopeMissing, TooManyRequests
from app.accounts.models import User
from app.accounts.queries import Asker
from app.accounts.request_limit import Count, Policy, count_request
from app.api import session_cookie
from app.database import open_reader, open_session
from app.errors import Unauthenticated
from app.settings import Settings, get_settings
from app.storage import Storage, get_storage
from app.videos import queries as videos
from app.videos.models import Video

# These are asked by POST for the length of what is said, and change nothing.
ONLY_LOOK = frozenset({"/videos/{video_id}/estimate", "/extractions/{extraction_id}/selection"})

BEGIN_UPLOADS = frozenset(
    {("POST", "/videos/upload"), ("POST", "/videos/import"), ("POST", "/uploads/"), ("POST", "/videos/upload-url")}
)
MOVE_DATA = frozenset(
    {
        ("PATCH", "/uploads/{upload_id}"),
        ("GET", "/videos/{video_id}/source"),
        ("GET", "/extractions/{extraction_id}/frames/{sequence}"),
        ("GET", "/extractions/{extraction_id}/frames/{sequence}/thumbnail"),
    }
)

SettingsDep = Annotated[Settings, Depends(get_settings)]
StorageDep = Annotated[Storage, Depends(get_storage)]


def get_session() -> Iterator[Session]:
    """The transaction of one request."""
    with open_session() as session:
        yield session


# With scope="function" the commit comes before the answer, so that what was answered is true.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]

P = ParamSpec("P")
T = TypeVar("T")


async def look(read: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a read gives, and nothing is changed: on one thread from beginning to end, where a session as a dependency
    is begun on one, used on another and ended on a third."""

    def reading() -> T:
        with open_reader() as session:
            return read(session, *args, **kwargs)

    return await run_in_threadpool(reading)


bearer = OAuth2PasswordBearer(tokenUrl="/auth/token", auto_error=False)
cookie = APIKeyCookie(name=session_cookie.NAME, auto_error=False)


async def get_credential(
    request: Request, token: Annotated[str | None, Depends(bearer)], secret: Annotated[str | None, Depends(cookie)]
) -> Credential:
    """What the asker has shown, or 401; whether its session goes on is not asked yet."""
    if token is not None and token.startswith(KEY_PREFIX):
        return KeyToken(hash_of(token))
    if token is not None:
        return access_tokens.read(token)
    if secret is None:
        raise Unauthenticated
    session_cookie.check_origin(request)
    return SessionToken(hash_of(secret))


async def get_asker(
    credential: Annotated[Credential, Depends(get_credential)], request: Request, response: Response
) -> Asker:
    """Who asks and by what right, or 401; known before any of the body is read."""
    asker, goes_on, count = await run_in_threadpool(_ask, credential, _policy_of(request))
    # Set by the outermost layer, for answers that nobody here makes too.
    request.state.rate_limit_headers = count.headers
    if count.is_over:
        raise TooManyRequests(retry_after_seconds=count.resets_in_seconds)
    if goes_on:
        session_cookie.set_session_cookie(response, request.cookies[session_cookie.NAME])
    # Bound here and not in the thread, whose context ends with it.
    bind_contextvars(user_id=str(asker.user.id))
    return asker


def _policy_of(request: Request) -> Policy:
    asked = request.method, request.scope["route"].path
    return "uploads" if asked in BEGIN_UPLOADS else "data" if asked in MOVE_DATA else "requests"


def _ask(credential: Credential, policy: Policy) -> tuple[Asker, bool, Count]:
    # A transaction of its own: an upload or a stream of events must not hold a connection for as long as it lasts.
    # Of keys and cookies it is noted that they are used; with a token nothing is.
    opened = open_reader() if isinstance(credential, AccessToken) else open_session()
    with opened as session:
        asker = queries.asker(session, credential)
        if asker.key is not None:
            key_lifecycle.note_use(asker.key)
        browser = asker.browser_session
        goes_on = browser is not None and session_lifecycle.extend(browser)
    return asker, goes_on, count_request(asker.user.id, policy)


AskerDep = Annotated[Asker, Depends(get_asker)]


async def get_current_user(asker: AskerDep, request: Request) -> User:
    """Who asks, or 401; 403 where it is by a key that may only look, and this changes something."""
    looks = request.method in session_cookie.SAFE_METHODS or request.scope["route"].path in ONLY_LOOK
    _need("read" if looks else "write", asker)
    return asker.user


async def get_account_holder(asker: AskerDep) -> User:
    """Who asks, or 401; 403 where it is by a key that may not touch the account."""
    _need("account", asker)
    return asker.user


def _need(scope: Scope, asker: Asker) -> None:
    if scope not in asker.scopes:
        raise ScopeMissing(f"This API key lacks the scope `{scope}`.")


CurrentUser = Annotated[User, Depends(get_current_user)]
AccountHolder = Annotated[User, Depends(get_account_holder)]


def get_current_video(video_id: uuid.UUID, session: SessionDep, user: CurrentUser) -> Video:
    """The video that the path names, or 404."""
    return videos.get_video(session, video_id, user_id=user.id)


CurrentVideo = Annotated[Video, Depends(get_current_video)]


async def keep_out_of_caches(response: Response) -> None:
    """For answers that hold a secret."""
    response.headers["Cache-Control"] = "no-store"


def address_of(request: Request) -> str:
    """Where a request comes from, which is what a trusted proxy says where there is one."""
    return request.client.host if request.client else ""
