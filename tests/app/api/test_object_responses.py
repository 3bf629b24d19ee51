import asyncio
import gc
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect

from app.api.object_responses import byte_range, object_response
from app.storage.local import LocalStorage

DIGITS = b"0123456789"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(tmp_path / "objects", public_url="", signing_key=b"")
    for key, content in (("digits", DIGITS), ("empty", b"")):
        with storage.open_writer(key, content_type="text/plain") as writer:
            writer.write(content)
    return storage


@pytest.fixture
def app(storage: LocalStorage) -> FastAPI:
    app = FastAPI()

    @app.get("/{key}")
    def download(key: str, request: Request) -> Response:
        return object_response(
            storage, key, filename="frames of férias.zip", content_type="application/zip", request=request
        )

    return app


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


def test_the_whole_object_comes_as_a_download_that_no_browser_renders(client: TestClient, storage: LocalStorage):
    response = client.get("/digits")

    assert (response.status_code, response.content) == (200, DIGITS)
    assert {
        "accept-ranges": "bytes",
        "cache-control": "private",
        "content-disposition": (
            "attachment; filename=\"frames of f_rias.zip\"; filename*=UTF-8''frames%20of%20f%C3%A9rias.zip"
        ),
        "content-length": "10",
        "content-security-policy": "sandbox; default-src 'none'",
        "content-type": "application/zip",
        "etag": storage.stat("digits").etag,
        "x-content-type-options": "nosniff",
    } == dict(response.headers)


def test_an_empty_object_comes_too(client: TestClient):
    response = client.get("/empty")

    assert (response.status_code, response.content, response.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-9", 0, 9),
        ("bytes=2-5", 2, 5),
        ("bytes=9-9", 9, 9),
        ("bytes=4-", 4, 9),
        ("bytes=4-99", 4, 9),
        ("bytes=-3", 7, 9),
        ("bytes=-99", 0, 9),
        ("Bytes= 2-5 ", 2, 5),
        ("bytes=0-9999999999999999999", 0, 9),
    ],
)
def test_one_range_is_answered_with_it(client: TestClient, asked: str, first: int, last: int):
    response = client.get("/digits", headers={"Range": asked})

    assert response.status_code == 206
    assert response.content == DIGITS[first : last + 1]
    assert response.headers["content-range"] == f"bytes {first}-{last}/10"
    assert response.headers["content-length"] == str(last + 1 - first)


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,4-5",
        "bytes=0-0, -1",
        "bytes=5-2",
        "bytes=-",
        "bytes=",
        "bytes",
        "bytes=a-b",
        "bytes=1",
        "bytes=--5",
        "bytes=+1-2",
        "bytes=1-2-3",
        "bytes=²-3",
        "bytes=" + "9" * 5000 + "-",
        "lines=1-2",
    ],
)
def test_several_ranges_and_what_is_none_are_answered_with_the_whole(client: TestClient, asked: str):
    response = client.get("/digits", headers={b"Range": asked.encode("latin-1")})

    assert (response.status_code, response.content) == (200, DIGITS)
    assert "content-range" not in response.headers


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=9999999999999999999-", "bytes=-0"])
def test_a_range_outside_is_416_with_the_size(client: TestClient, asked: str):
    response = client.get("/digits", headers={"Range": asked})

    assert response.status_code == 416
    assert response.headers["content-range"] == "bytes */10"


def test_ranges_of_an_empty_object(client: TestClient):
    assert client.get("/empty", headers={"Range": "bytes=0-"}).status_code == 416
    assert client.get("/empty", headers={"Range": "bytes=-5"}).status_code == 200


def test_if_range_resumes_only_the_same_bytes(client: TestClient):
    etag = client.get("/digits").headers["etag"]

    def status_with(if_range: str) -> int:
        return client.get("/digits", headers={"Range": "bytes=4-", "If-Range": if_range}).status_code

    assert status_with(etag) == 206
    assert status_with('"another"') == 200
    assert status_with(f"W/{etag}") == 200
    assert status_with("Sun, 22 Nov 2026 10:00:00 GMT") == 200


@pytest.mark.parametrize("header", ["{etag}", "W/{etag}", '"a", {etag}', "*"])
def test_what_the_asker_has_is_not_sent_again(client: TestClient, header: str):
    etag = client.get("/digits").headers["etag"]
    response = client.get("/digits", headers={"If-None-Match": header.format(etag=etag), "Range": "bytes=0-1"})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag
    assert "content-length" not in response.headers


def test_what_the_asker_has_not_is_sent(client: TestClient):
    assert client.get("/digits", headers={"If-None-Match": '"another"'}).status_code == 200


def test_each_range_is_the_one_python_would_cut():
    for size_bytes in range(5):
        content = bytes(range(size_bytes))
        for first in range(7):
            for last in range(first, 7):
                asked = byte_range(f"bytes={first}-{last}", size_bytes=size_bytes)
                assert asked is not None
                assert content[asked.start : asked.stop] == content[first : last + 1]


def test_a_large_object_is_streamed_in_little_memory(app: FastAPI, storage: LocalStorage):
    with storage.open_writer("large", content_type="video/mp4") as writer:
        for _ in range(100):
            writer.write(os.urandom(2**20))
    process = psutil.Process()
    before = process.memory_info().rss
    sent: list[int] = []
    most = before

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        nonlocal most
        body = message.get("body", b"")
        assert isinstance(body, bytes)
        sent.append(len(body))
        most = max(most, process.memory_info().rss)

    asyncio.run(_get(app, "/large", receive, send))

    assert sum(sent) == 100 * 2**20
    assert most - before < 32 * 2**20


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
def test_an_object_that_nobody_fetches_to_the_end_is_closed(app: FastAPI, storage: LocalStorage, spec_version: str):
    with storage.open_writer("large", content_type="video/mp4") as writer:
        writer.write(bytes(5 * 2**20))
    connection_closed = asyncio.Event()
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        if messages:
            return messages.pop()
        await connection_closed.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        if message.get("body"):
            connection_closed.set()
            if spec_version == "2.3":
                # Servers of that version say it by `receive` alone.
                await asyncio.Event().wait()
            raise OSError("the connection is closed")

    gc.disable()
    try:
        with pytest.raises(ClientDisconnect) if spec_version == "2.4" else nullcontext():
            asyncio.run(_get(app, "/large", receive, send, spec_version=spec_version))
        still_open = [file for file in psutil.Process().open_files() if file.path.endswith("/large")]
    finally:
        gc.enable()

    assert still_open == []


async def _get(
    app: FastAPI,
    path: str,
    receive: Callable[..., object],
    send: Callable[..., object],
    *,
    spec_version: str = "2.4",
) -> None:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": spec_version},
        "method": "GET",
        "path": path,
        "headers": [],
        "query_string": b"",
    }
    await app(scope, receive, send)  # type: ignore[arg-type]
