"""A service below a path of another: `PUBLIC_URL=https://example.com/frames`."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What names an address of ours in an answer.
ADDRESSES = ("Location", "Content-Location")
# An application within the application: it takes off what it lies below, and so must be told all of it.
MOUNTED = "/docs/static/"


class PathPrefix:
    """Takes requests with and without the prefix, as proxies send them, and names addresses with it."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self.app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_prefix(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name in ADDRESSES:
                    # Others, as "//example.com/" and "https:", lead elsewhere.
                    if headers.get(name, "").startswith("/") and not headers[name].startswith("//"):
                        headers[name] = self._prefix + headers[name]
            await send(message)

        path = scope["path"]
        if path.startswith(f"{self._prefix}/"):
            path = path.removeprefix(self._prefix)
        if path.startswith(MOUNTED):
            path = self._prefix + path
        await self.app({**scope, "path": path, "root_path": self._prefix}, receive, send_with_prefix)
