"""An end to what is read into memory, and to how long that takes."""

import asyncio
import re

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Room for a plan or selection that names as many frames as an archive may hold.
BODY_MAX_BYTES = 4 * 2**20
# For all of a body, which is mostly a line or two.
BODY_SECONDS = 25.0
# These stream into storage, and count and time for themselves.
STREAMING = re.compile(r"/videos/upload|/uploads/.*")


class BodyLimit:
    """Refuses longer forms and JSON with 413, whether or not they say how long they are, and slow ones with 408."""

    def __init__(self, app: ASGIApp, *, seconds: float = BODY_SECONDS) -> None:
        self.app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or STREAMING.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return

        received = 0
        has_ended = False
        deadline = asyncio.get_running_loop().time() + self._seconds

        async def receive_counted() -> Message:
            nonlocal received, has_ended
            if has_ended:
                # What comes now is that the client went away, which may be long after.
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "The body comes too slowly.", headers={"Connection": "close"}) from None
            has_ended = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > BODY_MAX_BYTES:
                # The framework would make a 400 of any other error while it reads a body.
                raise HTTPException(413, f"A body here has at most {BODY_MAX_BYTES} bytes.")
            return message

        await self.app(scope, receive_counted, send)
