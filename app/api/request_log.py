"""One log line for each request, an id that all lines of a request carry, and what is counted of each."""

import time

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from app import audit, metrics
from app.api import error_responses
from app.database import new_id

logger = structlog.get_logger()

CLIENT_WENT_AWAY = 499
# Whatever else a client makes up is one label.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


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
                headers.update(scope.get("state", {}).get("rate_limit_headers", {}))
            await send(message)
            metrics.sent_bytes.inc(len(message.get("body", b"")))

        async def receive_counted() -> Message:
            message = await receive()
            metrics.received_bytes.inc(len(message.get("body", b"")))
            return message

        clear_contextvars()
        bind_contextvars(request_id=request_id)
        audit.asked_from.set(scope["client"][0] if scope["client"] else None)
        try:
            await self.app(scope, receive_counted, send_with_id)
        except ClientDisconnect:
            status = CLIENT_WENT_AWAY
        except Exception:
            logger.exception("request failed")
            if status is not None:
                raise
            await error_responses.unexpected()(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - begun
            # As the router left it: the template and what stood in its places.
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in METHODS else "other"
            metrics.request_seconds.labels(method, route, str(status or CLIENT_WENT_AWAY)).observe(seconds)
            ids = {name: str(value) for name, value in scope.get("path_params", {}).items() if name.endswith("_id")}
            logger.info(
                "request",
                method=scope["method"],
                # Without the query, where signed links carry their signature.
                path=scope["path"],
                status=status,
                milliseconds=round(seconds * 1000, 1),
                **ids,
            )
            clear_contextvars()
