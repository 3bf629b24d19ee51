"""Connections whose requests don't come: uvicorn's HTTP, which by itself waits for the head of a request for ever, and
takes one of any length. How long bodies may take is for `body_limit` to say."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class HeadDeadline(HttpToolsProtocol):
    """Closes a connection on which the head of a request is begun, or awaited at first, and not whole in time."""

    # With what the system takes to notice, within 30 s.
    head_seconds = 25.0
    head_max_bytes = 64 * 1024
    _deadline: asyncio.TimerHandle | None = None
    _head_has_begun = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what has come. Between two requests, uvicorn's own keep-alive limits the silence."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or not (self._head_has_begun or self._is_idle):
            return
        self._wait()
        if self._head_bytes > self.head_max_bytes:
            self.transport.write(TOO_LONG)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head_has_begun = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._stop()
        self._head_has_begun = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body has ended: what comes now is another head."""
        super().on_message_complete()
        self._head_bytes = 0

    def on_response_complete(self) -> None:
        """The next request, if it has begun to come, has waited for this answer until now."""
        super().on_response_complete()
        if self._head_has_begun:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._stop()
        super().connection_lost(exc)

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        if self._deadline is None and self._is_idle:
            self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class WithHeadDeadline:
    """Has a uvicorn that was told nothing else speak `HeadDeadline`, so that `uvicorn main:app` is enough.

    uvicorn knows of its HTTP before it knows the app, and first asks for it after the app has begun; that is when this
    puts another in its place.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = getattr(receive, "__self__", None)
        if scope["type"] == "lifespan" and isinstance(server, LifespanOn) and server.config.http == "auto":
            server.config.http_protocol_class = HeadDeadline
        await self.app(scope, receive, send)
