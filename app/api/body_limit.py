"""An end to what is read into memory."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Room for a plan or selection that names as many frames as an archive may hold.
BODY_MAX_BYTES = 4 * 2**20
# These stream into storage, and count for themselves.
STREAMING = ("/videos/upload", "/uploads/")


class BodyLimit:
    """Refuses longer forms and JSON with 413, whether or not they say how long they are."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(STREAMING):
            await self.app(scope, receive, send)
            return

        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_MAX_BYTES:
                # The framework would make a 400 of any other error while it reads a body.
                raise HTTPException(413, f"A body here has at most {BODY_MAX_BYTES} bytes.")
            return message

        await self.app(scope, receive_counted, send)
