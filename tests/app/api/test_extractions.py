"""More extractions of one video, over HTTP. No worker runs: the states are set as a worker would."""

import io
import uuid
import zipfile
from fractions import Fraction

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, update

from app.database import open_session
from app.extractions import lifecycle
from app.storage import Storage
from app.videos import lifecycle as videos
from app.videos.models import Video
from fotograma.packets import KEY, PacketIndex

pytestmark = pytest.mark.usefixtures("leaves_no_work")

PLAN = {"mode": "every", "seconds": 2, "format": "png"}
MEDIA = {"first_pts": 0, "width": 640, "height": 360, "rotation": 0, "stream": 0, "codec": "h264"}


@pytest.fixture(scope="module")
def user(make_user):
    return make_user()


@pytest.fixture
def call(client: TestClient, user):
    """`call("get", "/extractions/...")` as the user."""

    def call(method: str, path: str, **more):
        return client.request(method, path, headers={**user.headers, **more.pop("headers", {})}, **more)

    return call


@pytest.fixture
def video(call) -> dict:
    answer = call("post", "/videos/upload", files={"file": ("holiday.mp4", b"no video")}, data={"extract": "false"})
    assert answer.status_code == 202, answer.text
    return answer.json()


@pytest.fixture
def probed(video: dict) -> dict:
    """100 pictures, 10 a second, each tenth a key frame."""
    index = PacketIndex(Fraction(1, 10))
    for number in range(100):
        index.add(pts=number, dts=number, duration=1, size=100, position=-1, flags=KEY if number % 10 == 0 else 0)
    with open_session() as session:
        videos.record_probe(session, uuid.UUID(video["id"]), media=MEDIA, packet_index=index.to_bytes())
    return video


@pytest.fixture
def complete(storage: Storage):
    """Complete an extraction as a worker would; gives the archive."""

    def complete(extraction: dict) -> bytes:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as file:
            file.writestr("frame.jpg", extraction["id"])
        key = f"results/{extraction['id']}/{uuid.uuid4()}/1/frames.zip"
        with storage.open_writer(key, content_type="application/zip") as writer:
            writer.write(content.getvalue())
        with open_session() as session:
            lifecycle.complete(
                session,
                uuid.UUID(extraction["id"]),
                lifecycle.Archive(key=key, size_bytes=len(content.getvalue()), sha256="0" * 64, frames=1, warnings=[]),
            )
        return content.getvalue()

    return complete


def test_a_second_extraction_begins_and_is_found(call, video: dict):
    first = call("post", f"/videos/{video['id']}/extractions", json={"mode": "keyframes"}).json()
    answer = call("post", f"/videos/{video['id']}/extractions", json=PLAN)
    second = answer.json()
    listed = call("get", f"/videos/{video['id']}/extractions").json()

    assert (answer.status_code, answer.headers["Location"]) == (202, f"/extractions/{second['id']}")
    assert (second["status"], second["plan"], second["video_id"]) == ("PENDING", PLAN, video["id"])
    assert call("get", answer.headers["Location"]).json() == second
    assert listed == [second, first]
    assert call("get", f"/videos/{video['id']}").json()["extraction_id"] == second["id"]


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"mode": "every"}',
        '{"mode": "every", "seconds": 0}',
        '{"mode": "every", "seconds": 1e999}',
        '{"mode": "every", "seconds": NaN}',
        '{"mode": "all", "quality": 101}',
        '{"mode": "all", "surprise": 1}',
        "[]",
        "null",
        "not json",
        "",
    ],
)
@pytest.mark.parametrize("path", ["extractions", "estimate"])
def test_a_plan_that_cannot_be_is_422(call, probed: dict, path: str, body: str):
    answer = call("post", f"/videos/{probed['id']}/{path}", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert call("get", f"/videos/{probed['id']}/extractions").json() == []


@pytest.mark.parametrize("body", ['{"mode": "count", "n": 1' + "0" * 5000 + "}", "[" * 100_000], ids=["long", "deep"])
def test_a_body_that_no_parser_should_read_is_400(call, probed: dict, body: str):
    answer = call(
        "post", f"/videos/{probed['id']}/estimate", content=body, headers={"Content-Type": "application/json"}
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


def test_an_estimate_tells_frames_and_times(call, probed: dict):
    answer = call("post", f"/videos/{probed['id']}/estimate", json={"mode": "every", "seconds": 2.5})

    assert answer.status_code == 200
    assert answer.json()["frames"] == 4
    assert answer.json()["times"] == [0, 2.5, 5, 7.5]
    assert answer.json()["bytes"] > 0
    assert answer.json()["seconds"] > 0


def test_an_estimate_needs_the_probe(call, video: dict):
    answer = call("post", f"/videos/{video['id']}/estimate", json=PLAN)

    assert (answer.status_code, answer.json()["code"]) == (409, "NOT_PROBED")


def test_an_estimate_knows_one_stream(call, probed: dict):
    known = call("post", f"/videos/{probed['id']}/estimate", json={**PLAN, "stream": 0})
    unknown = call("post", f"/videos/{probed['id']}/estimate", json={**PLAN, "stream": 1})

    assert known.status_code == 200
    assert (unknown.status_code, unknown.json()["code"]) == (409, "NOT_PROBED")


def test_what_is_cancelled_stays_so_and_is_not_mailed(call, probed: dict, complete):
    extraction = call("post", f"/videos/{probed['id']}/extractions", json=PLAN).json()
    answer = call("post", f"/extractions/{extraction['id']}/cancel")
    again = call("post", f"/extractions/{extraction['id']}/cancel")
    complete(extraction)

    assert (answer.status_code, answer.json()["status"]) == (202, "CANCELLED")
    assert answer.json()["completed_at"] is not None
    assert (again.status_code, again.json()["code"]) == (409, "EXTRACTION_ENDED")
    assert call("get", f"/extractions/{extraction['id']}").json()["status"] == "CANCELLED"


def test_each_extraction_has_its_own_archive(call, client: TestClient, probed: dict, complete):
    first, second = (call("post", f"/videos/{probed['id']}/extractions", json=PLAN).json() for _ in range(2))
    early = call("get", f"/extractions/{first['id']}/download")
    archive = complete(first)
    download = call("get", f"/extractions/{first['id']}/download")
    link = call("get", f"/extractions/{first['id']}/download-url").json()["url"]

    assert (early.status_code, early.json()["code"]) == (409, "NOTHING_READY")
    assert (download.status_code, download.content) == (200, archive)
    assert client.get(link).content == archive
    assert call("get", f"/extractions/{second['id']}/download-url").status_code == 409


def test_an_archive_expires_with_its_video(call, probed: dict, complete):
    extraction = call("post", f"/videos/{probed['id']}/extractions", json=PLAN).json()
    complete(extraction)
    with open_session() as session:
        session.execute(update(Video).where(Video.id == uuid.UUID(probed["id"])).values(expires_at=func.now()))

    answer = call("get", f"/extractions/{extraction['id']}/download")

    assert (answer.status_code, answer.json()["code"]) == (410, "ARCHIVE_EXPIRED")


def test_unknown_extraction_is_404(call):
    for method, path in [("get", ""), ("post", "/cancel"), ("get", "/download"), ("get", "/download-url")]:
        answer = call(method, f"/extractions/{uuid.uuid4()}{path}")

        assert (answer.status_code, answer.json()["code"]) == (404, "EXTRACTION_NOT_FOUND")
