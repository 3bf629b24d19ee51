"""The words endpoints ask for: a session, the user, the settings, the storage."""

import uuid
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.orm import Session
from structlog.contextvars import bind_contextvars

from app.accounts import access_tokens, queries
from app.accounts.access_tokens import AccessToken
from app.accounts.models import User
from app.database import open_session
from app.errors import Unauthenticated
from app.settings import Settings, get_settings
from app.storage import Storage, get_storage
from app.videos import queries as videos
from app.videos.models import Video

SettingsDep = Annotated[Settings, Depends(get_settings)]
StorageDep = Annotated[Storage, Depends(get_storage)]


def get_session() -> Iterator[Session]:
    """The transaction of one request."""
    with open_session() as session:
        yield session


# With scope="function" the commit comes before the answer, so that what was answered is true.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]

bearer = OAuth2PasswordBearer(tokenUrl="/auth/token", auto_error=False)


async def get_access_token(text: Annotated[str | None, Depends(bearer)]) -> AccessToken:
    """What the asker has shown, or 401; whether its session goes on is not asked yet."""
    if text is None:
        raise Unauthenticated
    return access_tokens.read(text)


AccessTokenDep = Annotated[AccessToken, Depends(get_access_token)]


async def get_current_user(token: AccessTokenDep) -> User:
    """Who asks, or 401; known before any of the body is read."""
    user = await run_in_threadpool(_user_of, token)
    # Bound here and not in the thread, whose context ends with it.
    bind_contextvars(user_id=str(user.id))
    return user


def _user_of(token: AccessToken) -> User:
    # A transaction of its own: an upload or a stream of events must not hold a connection for as long as it lasts.
    with open_session() as session:
        return queries.user_of_access_token(session, token)


CurrentUser = Annotated[User, Depends(get_current_user)]


def get_current_video(video_id: uuid.UUID, session: SessionDep, user: CurrentUser) -> Video:
    """The video that the path names, or 404."""
    return videos.get_video(session, video_id, user_id=user.id)


CurrentVideo = Annotated[Video, Depends(get_current_video)]


def address_of(request: Request) -> str:
    """Where a request comes from, which is what a trusted proxy says where there is one."""
    return request.client.host if request.client else ""
