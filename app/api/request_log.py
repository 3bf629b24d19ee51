"""One log line for each request, and an id that all lines of a request carry."""

import time

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.api import error_responses
from app.database import new_id

logger = structlog.get_logger()

CLIENT_WENT_AWAY = 499


class RequestLog:
    """Outermost of all, so that what nobody caught is logged under the request's id and answered as a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        request_id = str(new_id())
        status: int | None = None
        begun = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # Set, not added: some answers say so themselves, and said twice it means nothing.
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        clear_contextvars()
        bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = CLIENT_WENT_AWAY
        except Exception:
            logger.exception("request failed")
            if status is not None:
                raise
            await error_responses.unexpected()(scope, receive, send_with_id)
        finally:
            logger.info(
                "request",
                method=scope["method"],
                # Without the query, where signed links carry their signature.
                path=scope["path"],
                status=status,
                milliseconds=round((time.perf_counter() - begun) * 1000, 1),
            )
            clear_contextvars()
