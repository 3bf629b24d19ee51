"""A server that nobody has a reason to talk to."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bait:
    """A server on loopback that remembers who called."""

    url: str
    calls: list[str] = field(default_factory=list)
    """The first line that each connection sent, empty where it sent none."""


@contextmanager
def lay_bait() -> Iterator[Bait]:
    """A bait that listens until the end."""

    class Hook(socketserver.StreamRequestHandler):
        timeout = 2

        def handle(self) -> None:
            place = len(bait.calls)
            # Before anything is read: a connection that says nothing counts as well.
            bait.calls.append("")
            bait.calls[place] = self.rfile.readline(1000).decode(errors="replace").strip()
            self.wfile.write(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Hook) as server:
        bait = Bait(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield bait
        server.shutdown()
        thread.join()
