"""How slowly a streamed body may come, where its bytes are worked on, and what becomes of one that nobody wants.

The server underneath reads on for as long as a client sends, whether the application still listens or not.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import get_settings

# An ordinary client reads the answer only once it has sent some more; a deaf one would send for ever.
DISCARD_MAX_BYTES = 2**20
DISCARD_SECONDS = 2.0

# With what comes before and after it, in a crowd too, the connection ends within 30 s.
PACE_SECONDS = 20.0
PACE_BYTES = 64 * 1024
BATCH_BYTES = 2**20
# What comes byte by byte is handed on sooner, for each piece takes memory of its own.
BATCH_PIECES = 4096

# Apart from the threads that answer all other requests: slow storage must not hold those up.
UPLOAD_THREADS = CapacityLimiter(16)
# Bytes that go to this machine's disk want its cores, to be parsed, hashed and copied. A few threads fill the disk as
# fast as many do, and many would keep all answers waiting.
DISK_THREADS = CapacityLimiter(max(2, (os.cpu_count() or 1) // 2))

P = ParamSpec("P")
T = TypeVar("T")


async def in_upload_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a call gives that may wait for storage or database."""
    return await to_thread.run_sync(lambda: call(*args, **kwargs), limiter=UPLOAD_THREADS)


async def in_byte_thread(call: Callable[[bytes], object], data: bytes) -> None:
    """Have a piece of a body worked on and stored."""
    is_disk = get_settings().storage_url.startswith("file:")
    await to_thread.run_sync(call, data, limiter=DISK_THREADS if is_disk else UPLOAD_THREADS)


async def batches(request: Request, *, longest: timedelta) -> AsyncIterator[bytes]:
    """The body in pieces of at most about 1 MiB; 408 when it stalls, trickles or lasts too long.

    Where it breaks off, what has come until then is given before that is told.
    """
    now = asyncio.get_running_loop().time
    end = now() + longest.total_seconds()
    stream = request.stream()
    # Joined once: a buffer that grows is copied again and again, and nobody else has a turn meanwhile.
    batch: list[bytes] = []
    batch_bytes = 0
    ended = False
    while not ended:
        deadline = min(now() + PACE_SECONDS, end)
        arrived = 0
        while not ended and arrived < PACE_BYTES:
            try:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(stream, b"")
            except TimeoutError:
                yield b"".join(batch)
                raise HTTPException(408, "The body comes too slowly.", headers={"Connection": "close"}) from None
            except ClientDisconnect:
                yield b"".join(batch)
                raise
            batch.append(chunk)
            arrived += len(chunk)
            ended = not chunk
        batch_bytes += arrived
        if batch_bytes >= BATCH_BYTES or len(batch) >= BATCH_PIECES or ended:
            yield b"".join(batch)
            batch.clear()
            batch_bytes = 0


class UnreadBody:
    """Ends the connection of a client that was answered before its large body was read: says so, lets it send a little
    more so that it sees the answer, and closes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["http_version"].startswith("1") or not _may_be_large(scope):
            await self.app(scope, receive, send)
            return

        is_read = closes = False

        async def receive_noting_the_end() -> Message:
            nonlocal is_read
            message = await receive()
            is_read = not message.get("more_body", False)
            return message

        async def send_and_close(message: Message) -> None:
            nonlocal closes
            if message["type"] == "http.response.start" and not is_read:
                closes = True
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            elif closes and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await _discard(receive)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self.app(scope, receive_noting_the_end, send_and_close)


def _may_be_large(scope: Scope) -> bool:
    """A body up to what is discarded anyway may stay with the server, and its connection open."""
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or int(headers.get(b"content-length", 0)) > DISCARD_MAX_BYTES


async def _discard(receive: Receive) -> None:
    left = DISCARD_MAX_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):
                    break
                left -= len(message["body"])
