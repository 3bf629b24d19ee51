"""A way to a store on which requests fail: it answers errors in its place or not at all, and cuts bodies in two."""

import http.client
import random
import re
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

CHUNK_BYTES = 64 * 1024


class Faults:
    """Passes requests on to a port of this machine, and counts them by their method."""

    def __init__(self, server_port: int, *, seed: int = 1) -> None:
        self.server_port = server_port
        self.failing = 0.0
        """Which part of the requests is answered with 500 or 503, before or after it was done."""
        self.throttled = 0
        """How many of the next requests are answered with `throttled_status` and Retry-After."""
        self.throttled_status = 429
        self.retry_after_seconds = 1
        self.cut = 0.0
        """Which part of the answers with a body breaks off in its middle."""
        self.cut_from_bytes = 2
        """Of which size on answers do that."""
        self.cut_uploads: re.Pattern[str] | None = None
        """Of which requests only half of the body is taken before the connection is lost, by method, path and query."""
        self.lost_answer: re.Pattern[str] | None = None
        """Of which request, by method, path and query, the next is done and answered with an error all the same."""
        self.cut_up = 0.0
        """Of which part of the requests for a change (PUT, POST) half of the body is taken and no answer given."""
        self.silent = 0.0
        """Which part of the requests is taken and never answered."""
        self.throttled_until = 0.0
        """Until when, by the monotonic clock, all requests are answered with `throttled_status` and Retry-After."""
        self.delay_seconds = 0.0
        self.requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.bytes_sent: Counter[str] = Counter()
        """Of bodies, by direction: `up` and `down`."""
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Request)
        self._server.faults = self
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="faults", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def strike(self, chance: float, name: str) -> bool:
        """Whether this one fails; it is counted."""
        with self.lock:
            struck = self.random.random() < chance
            self.faults[name] += struck
            return struck


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    faults: Faults


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        with suppress(OSError, http.client.HTTPException):
            self._pass_on(self.server.faults)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _pass_on(self, faults: Faults) -> None:
        size = int(self.headers.get("Content-Length", 0))
        is_cut = faults.cut_uploads and faults.cut_uploads.search(f"{self.command} {self.path}")
        if is_cut or (self.command in {"PUT", "POST"} and faults.strike(faults.cut_up, "cut upload")):
            self.rfile.read(size // 2)
            with faults.lock:
                faults.faults["cut upload"] += bool(is_cut)
            self.close_connection = True
            return
        body = self.rfile.read(size)
        time.sleep(faults.delay_seconds)
        with faults.lock:
            faults.requests[self.command] += 1
            faults.bytes_sent["up"] += len(body)
            counted = faults.throttled > 0
            faults.throttled -= counted
            throttled = counted or time.monotonic() < faults.throttled_until
            faults.faults["throttled"] += throttled
        if throttled:
            self._refuse(faults.throttled_status)
            return
        if faults.strike(faults.silent, "silent"):
            faults.ended.wait()
            self.close_connection = True
            return
        if faults.strike(faults.failing / 2, "before"):
            self._refuse(faults.random.choice((500, 503)))
            return
        server = http.client.HTTPConnection("127.0.0.1", faults.server_port, timeout=60)
        try:
            server.request(self.command, self.path, body, dict(self.headers))
            answer = server.getresponse()
            content = answer.read()
        finally:
            server.close()
        is_lost = faults.lost_answer and faults.lost_answer.search(f"{self.command} {self.path}")
        if is_lost:
            faults.lost_answer = None
        if is_lost or faults.strike(faults.failing / 2, "after"):
            self._refuse(faults.random.choice((500, 503)))
            return
        # Of rclone, which gives a range and doesn't say so.
        is_range = answer.status == 200 and answer.getheader("Content-Range")
        self.send_response_only(206 if is_range else answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        has_body = self.command != "HEAD"
        self.send_header("Content-Length", str(len(content)) if has_body else answer.getheader("Content-Length", "0"))
        self.end_headers()
        if has_body and len(content) >= faults.cut_from_bytes and faults.strike(faults.cut, "cut"):
            content = content[: len(content) // 2]
            self.close_connection = True
        with faults.lock:
            faults.bytes_sent["down"] += len(content)
        if has_body:
            self.wfile.write(content)

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Retry-After", str(self.server.faults.retry_after_seconds))
        self.send_header("Content-Length", "0")
        self.end_headers()
