"""Uploading a video: what is taken, what is refused, and that a refusal leaves nothing."""

import http.client
import itertools
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import httpx2
import psutil
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.database import open_session
from app.storage import Storage
from app.videos.models import Upload, Video

pytestmark = pytest.mark.usefixtures("leaves_no_work")

MIB = 2**20
BOUNDARY = "a-boundary"
VIDEO = bytes(range(256)) * 100 + b"\r\n--a-bound\r\n\r\n--a-boundarz--\r\n"


def part(name: str, value: bytes, *, filename: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + value + b"\r\n"


FILE = part("file", VIDEO, filename="holiday.mp4")
INTERVAL = part("interval", b"0.7")
END = f"--{BOUNDARY}--\r\n".encode()
FORM_HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture(scope="module")
def api(start_api):
    return start_api()


@pytest.fixture(scope="module")
def user(make_user):
    return make_user()


@pytest.fixture
def post(client: TestClient, user) -> Callable[..., httpx2.Response]:
    """Upload a body as it stands."""

    def post(body: bytes | Iterator[bytes], **headers: str) -> httpx2.Response:
        return client.post("/videos/upload", content=body, headers={**FORM_HEADERS, **user.headers, **headers})

    return post


def objects(storage: Storage) -> set[str]:
    return set(storage.list("videos"))


def rows_of(user) -> int:
    with open_session() as session:
        uploads = session.scalars(select(Upload.id).where(Upload.user_id == user.id)).all()
        videos = session.scalars(select(Video.id).where(Video.user_id == user.id)).all()
    return len(uploads) + len(videos)


@pytest.fixture
def leaves_nothing(storage: Storage, user, wait_until) -> Iterator[None]:
    """What is refused leaves no object and no row."""
    before = objects(storage), rows_of(user)

    yield

    wait_until(lambda: (objects(storage), rows_of(user)) == before)


def stored(storage: Storage, video_id: str) -> bytes:
    return b"".join(storage.read(f"videos/{video_id}/source"))


def test_an_upload_is_taken_and_waits(client: TestClient, user, storage: Storage):
    answer = client.post(
        "/videos/upload", files={"file": ("holiday.mp4", VIDEO)}, data={"interval": "2"}, headers=user.headers
    )

    assert answer.status_code == 202
    video = answer.json()
    assert answer.headers["location"] == f"/videos/{video['id']}"
    assert (video["filename"], video["bytes"], video["status"]) == ("holiday.mp4", len(VIDEO), "PENDING")
    assert video["plan"] == {"mode": "every", "seconds": 2}
    assert uuid.UUID(video["extraction_id"])
    assert stored(storage, video["id"]) == VIDEO
    assert client.get(answer.headers["location"], headers=user.headers).json() == video


@pytest.mark.parametrize("parts", [*itertools.permutations([FILE, INTERVAL, part("colour", b"blue")])])
def test_fields_come_in_any_order(post, storage: Storage, parts: tuple[bytes, ...]):
    answer = post(b"".join(parts) + END)

    assert answer.status_code == 202
    assert answer.json()["plan"] == {"mode": "every", "seconds": 0.7}
    assert stored(storage, answer.json()["id"]) == VIDEO


@pytest.mark.parametrize("piece", [1, 7, 64, 4096])
def test_pieces_of_any_size_give_the_same_file(post, storage: Storage, piece: int):
    body = FILE + INTERVAL + END

    answer = post(body[at : at + piece] for at in range(0, len(body), piece))

    assert answer.status_code == 202
    assert answer.json()["plan"] == {"mode": "every", "seconds": 0.7}
    assert stored(storage, answer.json()["id"]) == VIDEO


def test_without_an_interval_it_is_one_a_second(post):
    assert post(FILE + END).json()["plan"] == {"mode": "every", "seconds": 1}


def test_a_plan_may_come_as_json(post):
    plan = {"mode": "count", "n": 12, "format": "png"}

    assert post(FILE + part("plan", json.dumps(plan).encode()) + END).json()["plan"] == plan


def test_extraction_can_wait(post):
    video = post(FILE + part("extract", b"false") + END).json()

    assert (video["status"], video["extraction_id"], video["plan"]) == ("PENDING", None, None)


def test_an_empty_file_is_taken(post):
    answer = post(part("file", b"", filename="empty.mp4") + END)

    assert (answer.status_code, answer.json()["bytes"]) == (202, 0)


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (INTERVAL + END, 422, "NO_FILE"),
        (END, 422, "NO_FILE"),
        (part("file", b"text") + END, 422, "NO_FILE"),
        (part("file", b"", filename="") + END, 422, "NO_FILE"),
        (part("video", VIDEO, filename="a.mp4") + END, 422, "NO_FILE"),
        (FILE + FILE + END, 422, "FIELD_REPEATED"),
        (FILE + INTERVAL + INTERVAL + END, 422, "FIELD_REPEATED"),
        (FILE + part("interval", b"often") + END, 422, "BAD_PLAN"),
        (FILE + part("interval", b"0") + END, 422, "BAD_PLAN"),
        (FILE + part("interval", b"-1") + END, 422, "BAD_PLAN"),
        (FILE + part("interval", b"") + END, 422, "BAD_PLAN"),
        (FILE + part("interval", b"nan") + END, 422, "BAD_PLAN"),
        (FILE + part("interval", b"9" * 100_000) + END, 422, "BAD_PLAN"),
        (part("interval", b"\xff\x00") + FILE + END, 422, "BAD_PLAN"),
        (FILE + part("plan", b"{") + END, 422, "BAD_PLAN"),
        (FILE + part("plan", b"[1]") + END, 422, "BAD_PLAN"),
        (FILE + part("plan", b"[" * 100_000) + END, 422, "BAD_PLAN"),
        (FILE + part("plan", b'{"mode": "every", "seconds": 1, "speed": 2}') + END, 422, "BAD_PLAN"),
        (FILE + part("plan", b'{"mode": "all"}') + INTERVAL + END, 422, "BAD_PLAN"),
        (FILE + part("extract", b"false") + INTERVAL + END, 422, "BAD_PLAN"),
        (FILE + part("extract", b"perhaps") + END, 422, "BAD_PLAN"),
        (b"".join(part(f"field{n}", b"") for n in range(25)) + FILE + END, 413, "FORM_TOO_LARGE"),
        (part("plan", b" " * (MIB + 1)) + FILE + END, 413, "FORM_TOO_LARGE"),
        (FILE + part("colour", b" " * (MIB + 1)) + END, 413, "FORM_TOO_LARGE"),
        (FILE + INTERVAL, 400, "BAD_REQUEST"),
        (FILE[:-100], 400, "BAD_REQUEST"),
        (b"", 400, "BAD_REQUEST"),
        (b"no form at all", 400, "BAD_REQUEST"),
        (b"--" + BOUNDARY.encode() + b"\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n", 400, "BAD_REQUEST"),
        (b"--" + BOUNDARY.encode() + b"\r\n\r\nnameless\r\n" + END, 400, "BAD_REQUEST"),
    ],
)
def test_a_form_that_can_not_be_is_refused(post, body: bytes, status: int, code: str):
    answer = post(body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 415),
        ("video/mp4", 415),
        ("", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=" + "b" * 300, 400),
    ],
)
def test_only_forms_are_taken(post, content_type: str, status: int):
    assert post(FILE + END, **{"Content-Type": content_type}).status_code == status


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\fakepath\\clip.mp4", "clip.mp4"),
        ("férias 🎬.mp4", "férias 🎬.mp4"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("a\x00b\x1bc.mp4", "abc.mp4"),
        ("line\u2028break.mp4", "linebreak.mp4"),
        ("x" * 300 + ".mp4", "x" * 255),
        ("..", "video"),
        ("/", "video"),
        ("  ", "video"),
        ("<script>.mp4", "<script>.mp4"),
        ("concat:a|b", "concat:a|b"),
        ("img%03d.png", "img%03d.png"),
    ],
)
def test_names_are_kept_harmless(post, sent: str, kept: str):
    answer = post(part("file", VIDEO, filename=sent) + END)

    assert (answer.status_code, answer.json()["filename"]) == (202, kept)


def test_too_large_is_refused_before_and_while_it_comes(start_api, make_user, storage: Storage):
    limited, user, before = start_api(UPLOAD_MAX_BYTES=str(MIB)), make_user(), objects(storage)
    form = {**FORM_HEADERS, **user.headers}

    def chunks() -> Iterator[bytes]:
        yield part("file", b"x" * MIB, filename="a.mp4")[:-2]
        yield b"y"
        yield b"\r\n" + END

    fits = httpx2.post(f"{limited.url}/videos/upload", files={"file": ("a.mp4", b"x" * MIB)}, headers=user.headers)
    while_it_comes = httpx2.post(f"{limited.url}/videos/upload", content=chunks(), headers=form)
    with closing(http.client.HTTPConnection("127.0.0.1", limited.port, timeout=10)) as connection:
        connection.putrequest("POST", "/videos/upload")
        for name, value in {**form, "Content-Length": str(10 * MIB)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        begun = time.monotonic()
        before_it_comes = connection.getresponse()
        seconds = time.monotonic() - begun

    assert fits.status_code == 202
    assert while_it_comes.json()["code"] == json.load(before_it_comes)["code"] == "VIDEO_TOO_LARGE"
    assert while_it_comes.status_code == before_it_comes.status == 413
    assert seconds < 1
    assert len(objects(storage) - before) == 1


def test_racing_uploads_never_pass_the_quota(start_api, make_user):
    size, fitting = 100_000, 3
    limited, user = start_api(USER_STORED_MAX_BYTES=str(size * fitting + size // 2)), make_user()

    def upload(_: int) -> httpx2.Response:
        files = {"file": ("a.mp4", b"x" * size)}
        return httpx2.post(f"{limited.url}/videos/upload", files=files, headers=user.headers, timeout=30)

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(upload, range(10)))

    assert sorted(answer.status_code for answer in answers) == [202] * fitting + [507] * (10 - fitting)
    assert {answer.json()["code"] for answer in answers if answer.status_code == 507} == {"QUOTA_EXCEEDED"}
    assert rows_of(user) == fitting


def test_as_many_as_may_wait_are_taken(start_api, make_user):
    limited, user = start_api(USER_EXTRACTIONS_WAITING="1"), make_user()

    first, second = (
        httpx2.post(f"{limited.url}/videos/upload", files={"file": ("a.mp4", b"x")}, headers=user.headers)
        for _ in range(2)
    )

    third = httpx2.post(
        f"{limited.url}{first.headers['location']}/extractions", json={"mode": "all"}, headers=user.headers
    )

    assert (first.status_code, second.status_code, third.status_code) == (202, 429, 429)
    assert int(second.headers["retry-after"]) > 0
    assert int(third.headers["retry-after"]) > 0
    assert rows_of(user) == 1


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}], ids=["no token", "bad token"])
def test_a_stranger_is_refused_before_the_body(api, storage: Storage, headers: dict[str, str]):
    before, read_before = objects(storage), psutil.Process(api.pid).io_counters().read_chars
    with closing(http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)) as connection:
        # What every ordinary client does: it could not send all, and looks for the reason.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(
                "POST", "/videos/upload", body=FILE + b"x" * (50 * MIB), headers={**FORM_HEADERS, **headers}
            )
        answer = connection.getresponse()
        problem = json.load(answer)

    assert (answer.status, problem["status"]) == (401, 401)
    assert answer.headers["connection"] == "close"
    assert psutil.Process(api.pid).io_counters().read_chars - read_before < 3 * MIB
    assert objects(storage) == before


def test_a_deaf_stranger_can_not_push_on(api):
    head = f"POST /videos/upload HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM_HEADERS['Content-Type']}\r\n"
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
        connection.sendall(f"{head}Content-Length: {10**9}\r\n\r\n".encode())
        pushed, deadline = 0, time.monotonic() + 10
        with suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() < deadline:
                pushed += connection.send(b"x" * 65536)

    assert time.monotonic() < deadline
    assert pushed < 8 * MIB


def test_whoever_waits_for_leave_to_send_is_refused_at_once(api):
    head = f"POST /videos/upload HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM_HEADERS['Content-Type']}\r\n"
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
        connection.sendall(f"{head}Content-Length: {10**9}\r\nExpect: 100-continue\r\n\r\n".encode())
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("length", ["Content-Length: 1000000000", "Transfer-Encoding: chunked"])
def test_who_goes_away_leaves_nothing(api, user, wait_until, length: str):
    head = [f"{name}: {value}" for name, value in {**FORM_HEADERS, **user.headers}.items()]
    body = FILE[:2000] + b"x" * (3 * MIB)
    before = rows_of(user)
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n" if "chunked" in length else body
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
        connection.sendall("\r\n".join(["POST /videos/upload HTTP/1.1", "Host: x", length, *head, "", ""]).encode())
        connection.sendall(chunk)
        wait_until(lambda: rows_of(user) == before + 1)


@pytest.mark.usefixtures("leaves_nothing")
def test_a_length_that_is_too_short_cuts_the_form(api, user):
    head = [f"{name}: {value}" for name, value in {**FORM_HEADERS, **user.headers}.items()]
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
        length = f"Content-Length: {len(FILE) - 50}"
        connection.sendall("\r\n".join(["POST /videos/upload HTTP/1.1", "Host: x", length, *head, "", ""]).encode())
        connection.sendall(FILE + END)
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.usefixtures("leaves_nothing")
def test_a_full_disk_is_told(start_api, user):
    # No file of this process grows beyond a mebibyte, which is told to it much as a full disk is.
    full = start_api(prefix=("sh", "-c", 'ulimit -f 2048 && exec "$@"', "sh"))

    answer = httpx2.post(
        f"{full.url}/videos/upload", files={"file": ("a.mp4", b"x" * (5 * MIB))}, headers=user.headers, timeout=30
    )

    assert (answer.status_code, answer.json()["code"]) == (507, "STORAGE_FULL")


def test_memory_stays_flat(api, user, storage: Storage):
    megabytes, process = 300, psutil.Process(api.pid)
    block = b"\r\n" + bytes(range(256)) * 4096
    before, most = process.memory_info().rss, 0

    def body() -> Iterator[bytes]:
        nonlocal most
        yield part("file", b"", filename="long.mp4")[:-2]
        for _ in range(megabytes):
            yield block
            most = max(most, process.memory_info().rss)
        yield b"\r\n" + END

    answer = httpx2.post(
        f"{api.url}/videos/upload", content=body(), headers={**FORM_HEADERS, **user.headers}, timeout=60
    )

    assert answer.status_code == 202
    assert storage.stat(f"videos/{answer.json()['id']}/source").size_bytes == megabytes * len(block)
    assert most - before < 60 * MIB
