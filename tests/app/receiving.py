"""A receiver of webhooks on this machine, and names that mean what a test says."""

import ipaddress
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
PUBLIC = "93.184.215.14"


class Names:
    """A resolver whose answers change from question to question; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass(frozen=True)
class Call:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in small letters."""
    body: bytes


@dataclass
class Receiver:
    """A web server that remembers who called; begin and end it."""

    status: int = 200
    """What it answers."""
    location: str = "/"
    """Where a redirect would lead."""
    may_answer: threading.Event = field(default_factory=threading.Event)
    """Cleared: it answers once it is set again."""
    calls: list[Call] = field(default_factory=list)

    def begin(self) -> None:
        """Listen."""
        receiver = self
        self.may_answer.set()

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.calls.append(Call(self.command, self.path, headers, body))
                receiver.may_answer.wait(60)
                self.send_response(receiver.status)
                self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"hello")

            do_GET = do_POST = _answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def end(self) -> None:
        """Listen no more."""
        self.server.shutdown()
        self.server.server_close()
