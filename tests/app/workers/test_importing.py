"""Fetching what is at an address: each step of the way is judged, and nothing comes without an end."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import ClassVar

import pytest

from app.outbound import Outbound
from app.workers import importing
from fotograma.errors import FotogramaError

VIDEO = bytes(range(256)) * 4000
HERE = [ip_network("127.0.0.1/32")]


class Site(BaseHTTPRequestHandler):
    """A video at /video, and all kinds of ways to it."""

    protocol_version = "HTTP/1.1"
    bait: ClassVar[str] = ""
    """Another server of this machine, where nobody may be led."""

    def do_GET(self) -> None:
        self.server.paths.append(self.path)  # type: ignore[attr-defined]
        if (goes_to := self.ways().get(self.path)) is not None:
            return self.answer(302, {"Location": goes_to, "Content-Length": "0"})
        if self.path == "/chunked":
            return self.answer(200, {"Transfer-Encoding": "chunked"}, b"%x\r\n%b\r\n0\r\n\r\n" % (len(VIDEO), VIDEO))
        if self.path == "/broken":
            return self.answer(200, {"Content-Length": str(len(VIDEO) + 1), "Connection": "close"}, VIDEO)
        if self.path.strip("/").isdigit():
            return self.answer(int(self.path.strip("/")), {"Content-Length": "0"})
        return self.answer(200, {"Content-Length": str(len(VIDEO))}, VIDEO)

    def ways(self) -> dict[str, str]:
        return {
            "/near": "/video",
            "/far": "/near",
            "/round": "/round",
            "/inside": self.bait,
            "/decimal": self.bait.replace("127.0.0.2", "2130706434"),
            "/by-name": self.bait.replace("127.0.0.2", "bait.example"),
            "/file": "file:///etc/passwd",
            "/nowhere": "http://",
        }

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = headers.get("Connection") == "close"

    def log_message(self, *_: object) -> None:
        pass


def serve(address: str) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer((address, 0), Site)
    server.paths = []  # type: ignore[attr-defined]
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture
def site() -> Iterator[str]:
    """A server of this machine that may be asked, beside one that may not; nobody ever came to that one."""
    site, bait = serve("127.0.0.1"), serve("127.0.0.2")
    Site.bait = f"http://127.0.0.2:{bait.server_port}/video"
    yield f"http://127.0.0.1:{site.server_port}"
    for server in (site, bait):
        server.shutdown()
        server.server_close()
    assert bait.paths == []  # type: ignore[attr-defined]


def fetch(url: str, *, most_bytes: int = 10**9, names: dict[str, list[str]] | None = None) -> bytes:
    def resolve(host: str) -> list[str]:
        answers = (names or {}).get(host, [host])
        return [answers.pop(0) if len(answers) > 1 else answers[0]]

    return b"".join(importing.fetch(Outbound(allowed=HERE, resolve=resolve), url, most_bytes=most_bytes))


@pytest.fixture(autouse=True)
def settings(environment: dict[str, str]) -> None:
    """The time an import may take is one."""


@pytest.mark.parametrize("path", ["/video", "/chunked", "/near", "/far"])
def test_what_is_there_comes(site: str, path: str):
    assert fetch(site + path) == VIDEO


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/inside", "IMPORT_REFUSED"),
        ("/decimal", "IMPORT_REFUSED"),
        ("/by-name", "IMPORT_REFUSED"),
        ("/file", "IMPORT_REFUSED"),
        ("/nowhere", "IMPORT_REFUSED"),
        ("/round", "IMPORT_REFUSED"),
        ("/404", "IMPORT_REFUSED"),
        ("/403", "IMPORT_REFUSED"),
        ("/503", "IMPORT_UNREACHABLE"),
        ("/429", "IMPORT_UNREACHABLE"),
        ("/broken", "IMPORT_UNREACHABLE"),
    ],
)
def test_what_leads_nowhere_or_inside_is_told(site: str, path: str, code: str):
    with pytest.raises(FotogramaError) as told:
        fetch(site + path, names={"bait.example": ["127.0.0.2"]})

    assert told.value.code.name == code


def test_a_name_that_means_another_place_the_second_time_leads_nowhere(site: str):
    names = {"first.example": ["127.0.0.1", "127.0.0.2"]}
    url = site.replace("127.0.0.1", "first.example")

    with pytest.raises(FotogramaError, match="IMPORT_REFUSED"):
        fetch(f"{url}/near", names=names)
    assert names == {"first.example": ["127.0.0.2"]}


@pytest.mark.parametrize("path", ["/video", "/chunked"])
def test_what_is_larger_than_there_is_room_for_is_broken_off(site: str, path: str):
    with pytest.raises(FotogramaError, match="IMPORT_LIMIT"):
        fetch(site + path, most_bytes=len(VIDEO) - 1)

    assert fetch(site + path, most_bytes=len(VIDEO)) == VIDEO
