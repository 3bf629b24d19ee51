"""Resumable uploads: what storage holds counts, whatever breaks, and no request gets in another's way."""

import base64
import hashlib
import os
import random
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx2
import psutil
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from app.database import open_session
from app.storage import Storage
from app.videos import upload_lifecycle
from app.videos.models import ResumableUpload, UploadPart, Video
from app.videos.parts import PART_BYTES
from tests.app.api.conftest import Api
from tests.conftest import User
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("leaves_no_work")

MIB = 2**20
TUS = {"Tus-Resumable": "1.0.0"}
BODY = {**TUS, "Content-Type": "application/offset+octet-stream"}
CONTENT = random.Random(6).randbytes(PART_BYTES * 2 + 3 * MIB + 17)


def encoded(**fields: str) -> str:
    """Upload-Metadata."""
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())


class Uploader:
    """Somebody who speaks tus to one API or another."""

    def __init__(self, client: httpx2.Client, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers

    def begin(self, size_bytes: int, *, content: bytes | None = None, **headers: str) -> httpx2.Response:
        more = {**(TUS if content is None else BODY), "Upload-Length": str(size_bytes), **headers}
        return self.client.post("/uploads/", content=content, headers={**self.headers, **more})

    def begun(self, size_bytes: int, **fields: str) -> str:
        """Where a new upload goes on."""
        answer = self.begin(size_bytes, **({"Upload-Metadata": encoded(**fields)} if fields else {}))
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    def head(self, path: str) -> httpx2.Response:
        return self.client.head(path, headers={**TUS, **self.headers})

    def offset(self, path: str) -> int:
        return int(self.head(path).headers["upload-offset"])

    def send(self, path: str, content: bytes | Iterator[bytes], *, at: int, **headers: str) -> httpx2.Response:
        more = {**BODY, "Upload-Offset": str(at), **headers}
        return self.client.patch(path, content=content, headers={**self.headers, **more})

    def delete(self, path: str) -> httpx2.Response:
        return self.client.delete(path, headers={**TUS, **self.headers})


@pytest.fixture(scope="module")
def user(make_user):
    return make_user()


@pytest.fixture
def uploader(client: TestClient, user) -> Uploader:
    return Uploader(client, user.headers)


@pytest.fixture(scope="module")
def api(start_api) -> Api:
    return start_api()


@pytest.fixture(scope="module")
def other_api(start_api) -> Api:
    """A second process on the same database and storage."""
    return start_api()


@pytest.fixture(scope="module")
def limited(start_api) -> Api:
    """One that allows little, and two pages elsewhere."""
    return start_api(
        USER_STORED_MAX_BYTES="1000",
        USER_EXTRACTIONS_WAITING="3",
        UPLOAD_MAX_BYTES="900",
        CORS_ORIGINS="https://page.example, https://other.example",
    )


@pytest.fixture
def via(user) -> Iterator[Callable[[Api], Uploader]]:
    """`via(api)`: the same somebody, who speaks to that process."""
    clients: list[httpx2.Client] = []

    def via(api: Api) -> Uploader:
        clients.append(httpx2.Client(base_url=api.url, timeout=30))
        return Uploader(clients[-1], user.headers)

    yield via
    for client in clients:
        client.close()


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def objects(storage: Storage, path: str) -> list[str]:
    return list(storage.list(f"videos/{id_of(path)}"))


def parts_of(path: str) -> list[UploadPart]:
    with open_session() as session:
        of_upload = UploadPart.upload_id == id_of(path)
        return [*session.scalars(select(UploadPart).where(of_upload).order_by(UploadPart.start_byte))]


def stored(storage: Storage, path: str) -> bytes:
    return b"".join(chunk for part in parts_of(path) for chunk in storage.read(part.object_key))


def half_a_request(api: Api, uploader: Uploader, path: str, content: bytes, *, at: int = 0) -> socket.socket:
    """A PATCH that announces more than comes."""
    headers = {**BODY, **uploader.headers, "Host": "x", "Upload-Offset": str(at)}
    length = int(uploader.head(path).headers["upload-length"]) - at
    lines = [f"PATCH {path} HTTP/1.1", f"Content-Length: {length}", *(f"{k}: {v}" for k, v in headers.items())]
    connection = socket.create_connection(("127.0.0.1", api.port), timeout=10)
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + content)
    return connection


def test_the_server_says_what_it_knows(client: TestClient):
    answer = client.options("/uploads/")

    assert answer.status_code == 204
    assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    assert set(answer.headers["tus-extension"].split(",")) == {
        *("creation", "creation-with-upload", "termination", "expiration", "checksum")
    }
    assert "sha1" in answer.headers["tus-checksum-algorithm"].split(",")
    assert int(answer.headers["tus-max-size"]) == 10 * 2**30


@pytest.mark.parametrize("chunk_bytes", [1_300_000, PART_BYTES, 11 * MIB, len(CONTENT)])
def test_chunks_of_any_size_become_the_same_video(uploader: Uploader, storage: Storage, chunk_bytes: int, client):
    path = uploader.begun(len(CONTENT), filename="holiday.mp4", interval="2")
    answers = []
    for at in range(0, len(CONTENT), chunk_bytes):
        assert uploader.offset(path) == at
        answers.append(uploader.send(path, CONTENT[at : at + chunk_bytes], at=at))
    video = client.get(f"/videos/{id_of(path)}", headers=uploader.headers).json()

    assert {answer.status_code for answer in answers} == {204}
    assert [answer.headers.get("x-fotograma-video") for answer in answers[:-1]] == [None] * len(answers[:-1])
    assert answers[-1].headers["x-fotograma-video"] == id_of(path)
    assert answers[-1].headers["content-location"] == f"/videos/{id_of(path)}"
    assert (video["filename"], video["bytes"], video["status"]) == ("holiday.mp4", len(CONTENT), "PENDING")
    assert video["plan"] == {"mode": "every", "seconds": 2}
    assert [part.size_bytes for part in parts_of(path)] == [PART_BYTES, PART_BYTES, 3 * MIB + 17]
    assert stored(storage, path) == CONTENT
    assert objects(storage, path) == sorted(part.object_key for part in parts_of(path))


def test_an_upload_is_told_as_it_was_begun(uploader: Uploader):
    metadata = encoded(filename="férias.mp4", filetype="video/mp4", extract="false")
    answer = uploader.begin(1000, **{"Upload-Metadata": metadata})
    told = uploader.head(answer.headers["location"])

    assert answer.status_code == 201
    assert parsedate_to_datetime(answer.headers["upload-expires"]) > datetime.now(UTC) + timedelta(hours=23)
    assert answer.content == b""
    assert (told.status_code, told.headers["cache-control"]) == (200, "no-store")
    assert (told.headers["upload-offset"], told.headers["upload-length"]) == ("0", "1000")
    assert told.headers["upload-metadata"] == metadata


def test_the_first_bytes_may_come_along(uploader: Uploader, storage: Storage):
    answer = uploader.begin(1000, content=CONTENT[:600])
    path = answer.headers["location"]
    last = uploader.send(path, CONTENT[600:1000], at=600)

    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "600")
    assert (last.status_code, last.headers["upload-offset"]) == (204, "1000")
    assert stored(storage, path) == CONTENT[:1000]


@pytest.mark.parametrize("content", [b"", CONTENT[:1000]], ids=["empty", "at once"])
def test_all_of_it_may_come_along(uploader: Uploader, content: bytes, client: TestClient):
    answer = uploader.begin(len(content), content=content)
    video = client.get(f"/videos/{answer.headers['x-fotograma-video']}", headers=uploader.headers)

    assert answer.status_code == 201
    assert (video.status_code, video.json()["bytes"]) == (200, len(content))


def test_who_missed_the_last_answer_learns_that_it_is_done(uploader: Uploader):
    path = uploader.begun(1000)
    uploader.send(path, CONTENT[:1000], at=0)
    told = uploader.head(path)
    again = uploader.send(path, b"", at=1000)

    assert (told.headers["upload-offset"], told.headers["x-fotograma-video"]) == ("1000", id_of(path))
    assert (again.status_code, again.headers["x-fotograma-video"]) == (204, id_of(path))
    with open_session() as session:
        assert session.scalar(select(func.count()).where(Video.id == id_of(path))) == 1


def test_what_was_announced_otherwise_is_refused(uploader: Uploader, client: TestClient, storage: Storage):
    path = uploader.begun(1000)
    uploader.send(path, CONTENT[:100], at=0)
    post = {**uploader.headers, **TUS}

    refused = [
        (409, uploader.send(path, b"x", at=0)),
        (409, uploader.send(path, b"x", at=101)),
        (413, uploader.send(path, b"x" * 901, at=100)),
        (413, uploader.send(path, iter([b"x" * 901]), at=100)),
        (415, uploader.send(path, b"x", at=100, **{"Content-Type": "video/mp4"})),
        (400, uploader.send(path, b"x", at=100, **{"Upload-Offset": "-1"})),
        (412, uploader.send(path, b"x", at=100, **{"Tus-Resumable": "0.2.2"})),
        (412, client.head(path, headers=uploader.headers)),
        (401, client.head(path, headers=TUS)),
        (404, uploader.head("/uploads/0197c2a0-0000-7000-8000-000000000000")),
        (400, client.post("/uploads/", headers=post)),
        (400, client.post("/uploads/", headers={**post, "Upload-Length": "many"})),
        (400, client.post("/uploads/", headers={**post, "Upload-Defer-Length": "1"})),
        (400, uploader.begin(1, **{"Upload-Metadata": "filename not-base64!"})),
        (422, uploader.begin(1, **{"Upload-Metadata": encoded(interval="often")})),
        (413, uploader.begin(10 * 2**30 + 1)),
    ]

    assert [answer.status_code for _, answer in refused] == [status for status, _ in refused]
    assert {answer.headers["tus-resumable"] for _, answer in refused} == {"1.0.0"}
    assert uploader.offset(path) == 100
    assert stored(storage, path) == CONTENT[:100]


def test_nobody_else_finds_it(uploader: Uploader, client: TestClient, make_user):
    path, other = uploader.begun(1000), Uploader(client, make_user().headers)

    assert other.head(path).status_code == 404
    assert other.send(path, b"x", at=0).status_code == 404
    assert other.delete(path).status_code == 404
    assert uploader.offset(path) == 0


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_what_does_not_fit_its_checksum_does_not_count(uploader: Uploader, storage: Storage, algorithm: str):
    size_bytes = PART_BYTES + 1000
    path, content = uploader.begun(size_bytes + 100), CONTENT[:size_bytes]
    digest = base64.b64encode(hashlib.new(algorithm, content).digest()).decode()
    checksum = {"Upload-Checksum": f"{algorithm} {digest}"}

    spoilt = uploader.send(path, content[:-1] + b"\0", at=0, **checksum)
    after = uploader.offset(path), objects(storage, path)
    right = uploader.send(path, content, at=0, **checksum)

    assert (spoilt.status_code, spoilt.json()["code"], after) == (460, "CHECKSUM_MISMATCH", (0, []))
    assert (right.status_code, uploader.offset(path)) == (204, size_bytes)
    assert stored(storage, path) == content


@pytest.mark.parametrize("checksum", ["crc32 AAAAAA==", "sha1", "sha1 AAAA", "sha1 *"])
def test_a_checksum_that_can_not_be_is_refused(uploader: Uploader, checksum: str):
    assert uploader.send(uploader.begun(10), b"x", at=0, **{"Upload-Checksum": checksum}).status_code == 400


def test_the_method_may_come_in_a_header(uploader: Uploader, client: TestClient):
    path = uploader.begun(10)
    posted = {**BODY, **uploader.headers, "Upload-Offset": "0"}

    patched = client.post(path, content=b"x", headers={**posted, "X-HTTP-Method-Override": "PATCH"})
    deleted = client.post(path, headers={**TUS, **uploader.headers, "X-HTTP-Method-Override": "DELETE"})

    assert (patched.status_code, patched.headers["upload-offset"]) == (204, "1")
    assert deleted.status_code == 204
    assert uploader.head(path).status_code == 404


def test_what_is_given_up_leaves_nothing(uploader: Uploader, storage: Storage):
    path = uploader.begun(len(CONTENT))
    uploader.send(path, CONTENT[:-5], at=0)
    before = objects(storage, path)

    assert before
    assert uploader.delete(path).status_code == 204
    assert objects(storage, path) == []
    assert uploader.head(path).status_code == 404


def test_a_video_is_no_upload_to_give_up(uploader: Uploader, client: TestClient):
    path = uploader.begun(10)
    uploader.send(path, b"0123456789", at=0)
    refused = uploader.delete(path)
    client.delete(f"/videos/{id_of(path)}", headers=uploader.headers)

    assert (refused.status_code, refused.json()["code"]) == (409, "UPLOAD_FINISHED")
    assert uploader.head(path).status_code == 404


def test_what_nobody_goes_on_with_expires(uploader: Uploader, storage: Storage):
    begun, finished = uploader.begun(20), uploader.begun(10)
    for path in (begun, finished):
        uploader.send(path, b"0123456789", at=0)
    with open_session() as session:
        past = func.now() - timedelta(seconds=1)
        ids = [id_of(begun), id_of(finished)]
        session.execute(update(ResumableUpload).where(ResumableUpload.id.in_(ids)).values(abandoned_at=past))

    assert (uploader.head(begun).status_code, uploader.send(begun, b"x", at=10).status_code) == (410, 410)
    for _ in range(2):
        upload_lifecycle.remove_abandoned(storage)
        assert objects(storage, begun) == []
        assert uploader.head(begun).status_code == 404
        # No worker has put it together yet.
        assert stored(storage, finished) == b"0123456789"


def test_who_leaves_takes_uploads_along(client: TestClient, make_user, storage: Storage):
    leaving = make_user()
    uploader = Uploader(client, leaving.headers)
    path = uploader.begun(20)
    uploader.send(path, b"0123456789", at=0)
    gone = client.request("DELETE", "/users/me", json={"password": leaving.password}, headers=leaving.headers)
    upload_lifecycle.remove_abandoned(storage)

    assert gone.status_code == 204, gone.text
    assert objects(storage, path) == []


def test_room_is_kept_for_uploads_under_way(limited: Api, make_user):
    with httpx2.Client(base_url=limited.url) as client:
        uploader = Uploader(client, make_user().headers)
        path = uploader.begun(600)
        no_room, too_large = uploader.begin(500), uploader.begin(901)
        plain = client.post("/videos/upload", files={"file": ("a.mp4", b"x" * 500)}, headers=uploader.headers)
        uploader.delete(path)
        begun = [uploader.begin(10) for _ in range(4)]

    assert (no_room.status_code, no_room.json()["code"]) == (507, "QUOTA_EXCEEDED")
    assert (too_large.status_code, too_large.json()["code"]) == (413, "VIDEO_TOO_LARGE")
    assert plain.status_code == 507
    assert [answer.status_code for answer in begun] == [201, 201, 201, 429]


def sent_at_last(uploader: Uploader, path: str, content: bytes, *, at: int) -> httpx2.Response:
    """The answer once the request before has lost its lock."""
    return wait_until(
        lambda: answer if (answer := uploader.send(path, content, at=at)).status_code != 423 else None,
        within_seconds=20,
    )


@pytest.mark.parametrize("sent_bytes", [MIB, 3 * MIB, PART_BYTES + MIB])
def test_after_a_cut_it_goes_on_where_it_was_cut(api: Api, via, storage: Storage, sent_bytes: int):
    uploader = via(api)
    path = uploader.begun(len(CONTENT))
    with half_a_request(api, uploader, path, CONTENT[:sent_bytes]):
        pass
    # What the server underneath has read and not handed on is lost with the connection.
    wait_until(lambda: uploader.offset(path) > sent_bytes - MIB // 2)
    offset = uploader.offset(path)
    last = sent_at_last(uploader, path, CONTENT[offset:], at=offset)

    assert offset <= sent_bytes
    assert last.headers["x-fotograma-video"] == id_of(path)
    assert stored(storage, path) == CONTENT


def test_one_request_at_a_time_over_all_processes(api: Api, other_api: Api, via):
    other = via(other_api)
    uploader = via(api)
    path = uploader.begun(len(CONTENT))
    with half_a_request(api, uploader, path, CONTENT[: 9 * MIB]) as connection:
        wait_until(lambda: uploader.offset(path) == PART_BYTES)
        refused = other.send(path, b"x", at=PART_BYTES)
        refused_too = other.delete(path)
        connection.sendall(CONTENT[9 * MIB :])
        answer = connection.recv(65536)

    assert (refused.status_code, refused_too.status_code) == (423, 423)
    assert int(refused.headers["retry-after"]) > 0
    assert answer.startswith(b"HTTP/1.1 204 ")


def test_a_silent_request_is_overtaken_and_spoils_nothing(api: Api, other_api: Api, via, storage: Storage):
    other = via(other_api)
    path = other.begun(len(CONTENT))
    with half_a_request(api, other, path, b"y" * (PART_BYTES + 3 * MIB)) as silent:
        wait_until(lambda: other.offset(path) == PART_BYTES)
        rest = CONTENT[PART_BYTES:]
        answer = sent_at_last(other, path, rest, at=PART_BYTES)
        with suppress(ConnectionError):
            silent.sendall(b"y" * (len(CONTENT) - PART_BYTES - 3 * MIB))
            silent.recv(65536)

    assert answer.status_code == 204
    assert stored(storage, path) == b"y" * PART_BYTES + rest
    assert objects(storage, path) == sorted(part.object_key for part in parts_of(path))


def new_password(client: TestClient, user: User) -> str:
    change = {"password": "another horse battery staple", "current_password": user.password}
    assert client.patch("/users/me", json=change, headers=user.headers).status_code == 200
    return change["password"]


def sign_out(client: TestClient, session: dict[str, str]) -> None:
    assert client.post("/auth/logout", json={"refresh_token": session["refresh_token"]}).status_code == 204


def signed_in(client: TestClient, user: User, *, password: str) -> dict[str, str]:
    answer = client.post("/auth/token", data={"username": user.email, "password": password})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("ends_by", ["new password", "signing out"])
def test_who_was_signed_out_goes_on_after_signing_in_again(
    client: TestClient, api: Api, make_user, storage: Storage, ends_by: str
):
    somebody = make_user()
    session = signed_in(client, somebody, password=somebody.password)
    with httpx2.Client(base_url=api.url, timeout=30) as http:
        uploader = Uploader(http, {"Authorization": f"Bearer {session['access_token']}"})
        path, at = uploader.begun(len(CONTENT)), PART_BYTES + MIB
        uploader.send(path, CONTENT[:at], at=0)
        password = somebody.password
        if ends_by == "new password":
            password = new_password(client, somebody)
        else:
            sign_out(client, session)
        refused = uploader.send(path, CONTENT[at:], at=at)
        asked, dropped = uploader.head(path), uploader.delete(path)
        again = Uploader(
            http, {"Authorization": f"Bearer {signed_in(client, somebody, password=password)['access_token']}"}
        )
        kept = again.offset(path)
        last = again.send(path, CONTENT[kept:], at=kept)

    assert (refused.status_code, refused.json()["code"]) == (401, "BAD_TOKEN")
    assert (asked.status_code, dropped.status_code) == (401, 401)
    assert kept == at
    assert last.headers["x-fotograma-video"] == id_of(path)
    assert stored(storage, path) == CONTENT


def test_a_killed_process_is_followed_by_another(start_api, api: Api, via, storage: Storage):
    doomed, other, chance = start_api(), via(api), random.Random(22)
    uploads = {other.begun(len(CONTENT)): chance.randrange(PART_BYTES, len(CONTENT)) for _ in range(6)}
    with ExitStack() as connections:
        for path, sent_bytes in uploads.items():
            connections.enter_context(half_a_request(doomed, other, path, CONTENT[:sent_bytes]))
        wait_until(lambda: all(other.offset(path) >= PART_BYTES for path in uploads))
        os.kill(doomed.pid, signal.SIGKILL)
    offsets = {path: other.offset(path) for path in uploads}
    answers = {path: sent_at_last(other, path, CONTENT[at:], at=at) for path, at in offsets.items()}

    for path, sent_bytes in uploads.items():
        assert PART_BYTES <= offsets[path] <= sent_bytes
        assert answers[path].headers["x-fotograma-video"] == id_of(path)
        assert stored(storage, path) == CONTENT


def test_memory_stays_flat(api: Api, via):
    megabytes, process, uploader = 300, psutil.Process(api.pid), via(api)
    path = uploader.begun(megabytes * MIB)
    before, most = process.memory_info().rss, 0

    def body() -> Iterator[bytes]:
        nonlocal most
        for _ in range(megabytes):
            yield CONTENT[:MIB]
            most = max(most, process.memory_info().rss)

    answer = uploader.send(path, body(), at=0)

    assert answer.status_code == 204
    assert most - before < 60 * MIB


def test_pages_elsewhere_are_let_in_only_where_they_are_named(client: TestClient, limited: Api):
    origin = {"Origin": "https://page.example", "Access-Control-Request-Method": "PATCH"}
    asked = {**origin, "Access-Control-Request-Headers": "authorization,tus-resumable,upload-offset"}

    closed = client.options("/uploads/", headers=asked)
    opened = httpx2.options(f"{limited.url}/uploads/", headers=asked)
    stranger = httpx2.options(f"{limited.url}/uploads/", headers={**asked, "Origin": "https://evil.example"})

    assert "access-control-allow-origin" not in closed.headers
    assert opened.headers["access-control-allow-origin"] == "https://page.example"
    assert "access-control-allow-origin" not in stranger.headers
