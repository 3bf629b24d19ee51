"""Which video to look at again: told in the transaction that changes it (NOTIFY), heard in every API process (LISTEN).

Ids only, for who hears reads what is committed. PostgreSQL lets transactions that tell something commit one at a time,
so that what happens often tells nothing (claims) or seldom (progress).
"""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import psycopg
import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.settings import get_settings

logger = structlog.get_logger()

CHANNEL = "fotograma_changes"

# A server that froze keeps its connections, and says nothing: it is asked as often, and waited for as long.
PING_SECONDS = 5.0
ANSWER_SECONDS = 3.0
PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Change:
    """A video of which something has changed."""

    user_id: uuid.UUID
    video_id: uuid.UUID


def tell(session: Session, *, user_id: uuid.UUID, video_id: uuid.UUID) -> None:
    """Say, when this transaction commits, that the video is no longer as it was."""
    session.execute(select(func.pg_notify(CHANNEL, f"{user_id} {video_id}")))


async def hear(*, on_connected: Callable[[], None], on_change: Callable[[Change], None]) -> NoReturn:
    """Call `on_change` for each change, for ever. `on_connected`: from now on all are heard; what was before may have
    been missed."""
    while True:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await _connect()
            async with connection:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.execute(f"LISTEN {CHANNEL}")
                on_connected()
                while True:
                    async for notice in connection.notifies(timeout=PING_SECONDS):
                        on_change(Change(*map(uuid.UUID, notice.payload.split())))
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await connection.execute("SELECT 1")
        except (psycopg.Error, OSError) as error:
            logger.warning("changes are not heard", error=str(error).splitlines()[:1])
            await asyncio.sleep(PAUSE_SECONDS)


async def _connect() -> psycopg.AsyncConnection[Any]:
    # Not of the pool: it is held for as long as the process lives.
    settings = get_settings()
    return await psycopg.AsyncConnection.connect(
        host=settings.db_host,
        port=settings.db_port,
        user=settings.db_user,
        password=settings.db_password.get_secret_value() or None,
        dbname=settings.db_name,
        application_name="fotograma events",
        connect_timeout=2,
        autocommit=True,
    )
