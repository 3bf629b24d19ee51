"""Videos that clients put straight into a cloud's store, by the doubles of three."""

import hashlib
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fotograma.client import Client
from fotograma.plan import Every, Plan
from tests.clips import Clip
from tests.conftest import PASSWORD, Inbox
from tests.end_to_end.archives import pictures_in
from tests.end_to_end.service import QUICK, Person, Service
from tests.stores.doubles import Double
from tests.waiting import wait_until

PIECE = 256 * 2**10


@pytest.fixture(scope="module", params=["google", "moto", "azurite"])
def double(request: pytest.FixtureRequest, stores: Callable[[str], Double]) -> Double:
    return stores(request.param)


@pytest.fixture(scope="module")
def folder(double: Double) -> str:
    """STORAGE_URL of the service."""
    return double.new_folder()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, mailbox: Inbox, double: Double, folder: str) -> Iterator[Service]:
    service = Service.embedded(tmp_path_factory.mktemp("direct"), inbox=mailbox)
    service.more = {
        **double.environment,
        "STORAGE_URL": folder,
        "DIRECT_UPLOAD": "true",
        "USER_STORED_MAX_BYTES": "10000000",
        **QUICK,
    }
    try:
        service.start()
        yield service
    finally:
        service.stop()


@pytest.fixture
def workers(service: Service) -> Iterator[Callable[[], None]]:
    """`workers()`: from now on there is one."""

    def start() -> None:
        service.start_workers()

    yield start
    service.end_workers()


def begin(person: Person, content: bytes, **more: Any) -> dict[str, Any]:
    asked = {"filename": "holiday.mp4", "bytes": len(content), "plan": {"mode": "every", "seconds": 2}, **more}
    return person.call("post", "/videos/upload-url", 201, json=asked)


def put(upload: dict[str, Any], content: bytes) -> int:
    """Send all of it; gives the last status."""
    if not upload["resumable"]:
        return httpx2.put(upload["url"], content=content, headers=upload["headers"]).status_code
    for start in range(0, len(content), PIECE):
        piece = content[start : start + PIECE]
        said = {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{len(content)}"}
        answer = httpx2.put(upload["url"], content=piece, headers={**upload["headers"], **said})
        assert answer.status_code == 308 or start + len(piece) == len(content), answer.text
    return answer.status_code


def complete(person: Person, upload: dict[str, Any]) -> httpx2.Response:
    return person.client.post(f"/videos/{upload['id']}/complete")


def test_what_is_put_into_the_store_becomes_a_video(
    service: Service, person: Person, clip: Clip, workers: Callable[[], None]
):
    content = clip.path.read_bytes()
    upload = begin(person, content, sha256=hashlib.sha256(content).hexdigest())
    early = complete(person, upload)
    put(upload, content)
    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda _: complete(person, upload), range(4))]
    workers()
    video = person.wait_for(answers[0].json(), "COMPLETED")
    put_again = put(upload, bytes(len(content))) if not upload["resumable"] else 200
    again = complete(person, upload)
    given_up = person.client.delete(f"/videos/upload-url/{upload['id']}")

    assert service.url not in upload["url"]
    assert (early.status_code, early.json()["code"]) == (409, "UPLOAD_INCOMPLETE")
    assert [answer.status_code for answer in answers] == [202] * 4
    assert (given_up.status_code, given_up.json()["code"]) == (409, "UPLOAD_FINISHED")
    assert len({answer.json()["extraction_id"] for answer in [*answers, again]}) == 1
    assert [*pictures_in(person.download(video)).values()] == [0, 50, 100]
    assert (video["filename"], video["bytes"]) == ("holiday.mp4", len(content))
    assert put_again in (200, 201)
    assert person.client.get(f"/videos/{video['id']}/source").content == content
    assert person.no_more_mail_comes() == ["completed"]


def test_another_size_than_the_announced_is_no_video(person: Person):
    upload = begin(person, bytes(1000))
    put(upload, bytes(999)) if not upload["resumable"] else httpx2.put(upload["url"], content=bytes(999))
    answer = complete(person, upload)

    assert (answer.status_code, answer.json()["code"]) == (409, "UPLOAD_INCOMPLETE")
    assert person.videos() == []


@pytest.mark.parametrize("when", ["announced", "after"])
def test_other_bytes_than_those_that_were_meant_are_told(
    person: Person, clip: Clip, workers: Callable[[], None], when: str
):
    content = clip.path.read_bytes()
    upload = begin(person, content, **({"sha256": "0" * 64} if when == "announced" else {}))
    put(upload, content)
    video = complete(person, upload).json()
    # A session of Google's is over; where there is a link, it still works.
    overwritten = when == "after" and not upload["resumable"] and put(upload, bytes(len(content)))
    workers()
    ended = person.wait_for(video, "FAILED" if when == "announced" or overwritten else "COMPLETED")

    assert ended["status"] == "COMPLETED" or ended["error"]["code"] == "UPLOAD_CHANGED"


def test_strangers_find_nothing(make_person: Callable[[], Person]):
    owner, stranger = make_person(), make_person()
    upload = begin(owner, b"bytes")
    put(upload, b"bytes")
    answers = [
        complete(stranger, upload),
        stranger.client.delete(f"/videos/upload-url/{upload['id']}"),
        stranger.client.head(f"/uploads/{upload['id']}", headers={"Tus-Resumable": "1.0.0"}),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert complete(owner, upload).status_code == 202


def test_room_is_kept_until_it_is_given_up(person: Person):
    def asked() -> httpx2.Response:
        return person.client.post("/videos/upload-url", json={"filename": "a.mp4", "bytes": 6_000_000})

    first, second = asked(), asked()
    gone = person.client.delete(f"/videos/upload-url/{first.json()['id']}")
    late = complete(person, first.json())

    assert (second.status_code, second.json()["code"]) == (507, "QUOTA_EXCEEDED")
    assert gone.status_code == 204
    assert (late.status_code, late.json()["code"]) == (410, "UPLOAD_EXPIRED")
    assert asked().status_code == 201


def test_what_was_given_up_is_removed_and_can_not_come_back(
    service: Service, double: Double, folder: str, person: Person, workers: Callable[[], None]
):
    upload = begin(person, b"bytes")
    if not upload["resumable"]:
        put(upload, b"bytes")
    person.call("delete", f"/videos/upload-url/{upload['id']}", 204)
    service.rows("UPDATE resumable_uploads SET landing_until = now() WHERE id = %s RETURNING 1", upload["id"])
    workers()
    wait_until(lambda: not service.rows("SELECT 1 FROM resumable_uploads WHERE id = %s", upload["id"]), 30)

    assert [*double.open(folder).list(f"videos/{upload['id']}")] == []
    if upload["resumable"]:
        assert httpx2.put(upload["url"], content=b"bytes").status_code == 404


def test_the_client_puts_a_file_into_the_store_by_itself(
    service: Service, person: Person, clip: Clip, workers: Callable[[], None]
):
    told: list[tuple[int, int]] = []
    size = clip.path.stat().st_size
    workers()
    with Client(service.url, email=person.email, password=PASSWORD) as client:
        begun = client.begin_upload(clip.path, Plan(Every(Fraction(2))))
        sent = client.resume_upload(begun, clip.path, told=lambda done, total: told.append((done, total)))
        video = client.wait(sent)
        pictures = [frame.row["time_seconds"] for frame in client.frames(video)]

    assert service.url not in begun["url"]
    assert (sent["id"], video["status"], video["bytes"]) == (begun["id"], "COMPLETED", size)
    assert pictures == [0, 2, 4]
    assert told[-1] == (size, size)


def test_the_client_goes_on_where_a_session_stands(service: Service, person: Person, tmp_path: Path):
    content = random.Random(5).randbytes(2 * PIECE + 1000)
    path = tmp_path / "noise.mp4"
    path.write_bytes(content)
    told: list[int] = []
    with Client(service.url, email=person.email, password=PASSWORD) as client:
        begun = client.begin_upload(path, None)
        if begun["resumable"]:
            said = {"Content-Range": f"bytes 0-{PIECE - 1}/{len(content)}"}
            httpx2.put(begun["url"], content=content[:PIECE], headers={**begun["headers"], **said})
        first = client.resume_upload(begun, path, told=lambda done, _: told.append(done))
        again = client.resume_upload(begun, path) if begun["resumable"] else first

    assert told[0] == (PIECE if begun["resumable"] else len(content))
    assert first["id"] == again["id"] == begun["id"]
