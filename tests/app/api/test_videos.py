"""What becomes of videos, as their owner sees it. No worker runs: the states are set as a worker would."""

import datetime
import io
import json
import uuid
import zipfile

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.database import open_session
from app.extractions import lifecycle, retention
from app.extractions.models import Segment, Status, Step
from app.storage import Storage
from app.videos import lifecycle as videos
from app.videos.models import Video
from fotograma.plan import Keyframes, Plan

pytestmark = pytest.mark.usefixtures("leaves_no_work")

WARNING = {"code": "TRUNCATED", "detail": "12 bytes are missing"}


@pytest.fixture(scope="module")
def user(make_user):
    return make_user()


@pytest.fixture
def upload(client: TestClient, user):
    """Upload a file; gives what was answered."""

    def upload(filename: str = "holiday.mp4", *, by=user, **fields: str) -> dict:
        answer = client.post("/videos/upload", files={"file": (filename, b"no video")}, data=fields, headers=by.headers)
        assert answer.status_code == 202, answer.text
        return answer.json()

    return upload


@pytest.fixture
def get(client: TestClient, user):
    def get(path: str, *, by=user, **more) -> httpx2.Response:
        return client.get(path, headers={**by.headers, **more.pop("headers", {})}, **more)

    return get


@pytest.fixture
def complete(storage: Storage):
    """Complete the extraction of a video as a worker would; gives the archive."""

    def complete(video: dict) -> bytes:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as file:
            file.writestr("frame.jpg", str(uuid.uuid4()))
        key = f"results/{video['extraction_id']}/{uuid.uuid4()}/1/archive.zip"
        with storage.open_writer(key, content_type="application/zip") as writer:
            writer.write(content.getvalue())
        archive = lifecycle.Archive(
            key=key, size_bytes=len(content.getvalue()), sha256="0" * 64, frames=1, warnings=[WARNING]
        )
        with open_session() as session:
            assert lifecycle.complete(session, uuid.UUID(video["extraction_id"]), archive)
        return content.getvalue()

    return complete


def change_video(video: dict, **values: object) -> None:
    with open_session() as session:
        session.execute(update(Video).where(Video.id == uuid.UUID(video["id"])).values(**values))


def test_a_new_video_waits(upload, get):
    video = get(f"/videos/{upload()['id']}").json()

    assert video["status"] == "PENDING"
    assert video["progress"] == {"frames_done": 0, "frames_total": None, "fraction": 0.0, "seconds_left": None}
    assert (video["error"], video["completed_at"], video["frames"], video["media"]) == (None, None, None, None)
    assert video["warnings"] == []
    kept = datetime.datetime.fromisoformat(video["expires_at"]) - datetime.datetime.fromisoformat(video["created_at"])
    assert kept.days == 30


def test_progress_is_the_frames_of_all_segments_and_never_more_than_there_are(upload, get):
    video = upload()
    extraction_id = uuid.UUID(video["extraction_id"])
    with open_session() as session:
        lifecycle.started(session, extraction_id)
        lifecycle.expect(session, extraction_id, frames_total=10)
        session.execute(
            update(Segment)
            .where(Segment.extraction_id == extraction_id)
            .values(step=Step.FRAMES, status=Status.COMPLETED, frames_done=3)
        )
        for number, (step, done) in enumerate([(Step.FRAMES, 2), (Step.JOIN, 99)], start=1):
            session.add(
                Segment(
                    video_id=uuid.UUID(video["id"]),
                    extraction_id=extraction_id,
                    user_id=uuid.uuid4(),
                    number=number,
                    step=step,
                    status=Status.COMPLETED,
                    frames_done=done,
                )
            )
    halfway = get(f"/videos/{video['id']}").json()
    with open_session() as session:
        session.execute(update(Segment).where(Segment.extraction_id == extraction_id).values(frames_done=50))
    nearly = get(f"/videos/{video['id']}").json()

    assert (halfway["status"], halfway["progress"]) == (
        "PROCESSING",
        {"frames_done": 5, "frames_total": 10, "fraction": 0.5, "seconds_left": None},
    )
    assert (nearly["progress"]["frames_done"], nearly["progress"]["frames_total"]) == (10, 10)
    assert nearly["progress"]["fraction"] < 1


def test_a_completed_video_tells_its_frames(upload, get, complete):
    video = upload()
    archive = complete(video)

    now = get(f"/videos/{video['id']}").json()

    assert (now["status"], now["frames"], now["archive_bytes"]) == ("COMPLETED", 1, len(archive))
    assert now["progress"] == {"frames_done": 1, "frames_total": 1, "fraction": 1.0, "seconds_left": None}
    assert (now["completed_at"] is not None, now["warnings"]) == (True, [WARNING])


def test_a_failed_video_says_why(upload, get):
    video = upload()
    with open_session() as session:
        lifecycle.fail(session, uuid.UUID(video["extraction_id"]), code="NOT_A_VIDEO", message="This is none.")

    now = get(f"/videos/{video['id']}").json()

    assert (now["status"], now["error"]) == ("FAILED", {"code": "NOT_A_VIDEO", "message": "This is none."})


def test_a_video_nothing_was_asked_of_is_ready_once_it_is_probed(upload, get):
    probed, failed = upload(extract="false"), upload(extract="false")
    with open_session() as session:
        videos.record_probe(session, uuid.UUID(probed["id"]), media={"width": 640}, packet_index=b"packets")
        videos.record_probe_failure(session, uuid.UUID(failed["id"]), code="NOT_A_VIDEO", message="This is none.")

    probed, failed = (get(f"/videos/{video['id']}").json() for video in (probed, failed))

    assert (probed["status"], probed["media"], probed["error"]) == ("READY", {"width": 640}, None)
    assert (failed["status"], failed["error"]["code"]) == ("FAILED", "NOT_A_VIDEO")


def test_the_newest_extraction_counts(upload, get, complete):
    video = upload()
    complete(video)
    with open_session() as session:
        row = session.get_one(Video, uuid.UUID(video["id"]))
        newer = lifecycle.request_extraction(session, row, plan=Plan(Keyframes()))

    now = get(f"/videos/{video['id']}").json()

    assert (now["status"], now["extraction_id"], now["plan"]) == ("PENDING", str(newer.id), {"mode": "keyframes"})
    assert get(f"/videos/download/{video['id']}").status_code == 200


def test_pages_hold_every_video_once_newest_first(upload, get, make_user):
    owner = make_user()
    uploaded = [upload(f"{number}.mp4", by=owner)["id"] for number in range(5)]
    seen, cursor = [], None
    for _ in range(3):
        page = get("/videos/status", by=owner, params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [video["id"] for video in page["items"]]
        cursor = page["next_cursor"]
        # What comes in between moves nothing.
        upload("late.mp4", by=owner)

    assert seen == uploaded[::-1]
    assert cursor is None


def test_a_list_can_be_of_one_state(upload, get, complete, make_user):
    owner = make_user()
    waiting, done, ready = upload(by=owner), upload(by=owner), upload(by=owner, extract="false")
    complete(done)
    change_video(ready, probed_at=datetime.datetime.now(datetime.UTC))

    def listed(status: str) -> list[str]:
        return [video["id"] for video in get(f"/videos/status?status={status}", by=owner).json()["items"]]

    assert (listed("PENDING"), listed("COMPLETED"), listed("READY")) == ([waiting["id"]], [done["id"]], [ready["id"]])
    assert listed("FAILED") == listed("CANCELLED") == listed("PROCESSING") == []


@pytest.mark.parametrize(
    "query",
    ["status=LOST", "limit=0", "limit=201", "cursor=x", "cursor=%C3%A9", "cursor=", "cursor=MjAyNi0wMS0wMSBub25l"],
)
def test_what_a_list_can_not_be_of_is_422(get, query: str):
    assert get(f"/videos/status?{query}").status_code == 422


def test_a_download_is_the_archive_and_can_be_resumed(upload, get, complete):
    video = upload("férias.mp4")
    archive = complete(video)

    whole = get(f"/videos/download/{video['id']}")
    rest = get(f"/videos/download/{video['id']}", headers={"Range": "bytes=10-"})

    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, archive, "application/zip")
    assert whole.headers["content-length"] == str(len(archive))
    assert "f%C3%A9rias-frames.zip" in whole.headers["content-disposition"]
    assert (rest.status_code, rest.content) == (206, archive[10:])
    assert rest.headers["etag"] == whole.headers["etag"]


def test_a_link_needs_no_login(client: TestClient, upload, get, complete):
    video = upload()
    archive = complete(video)

    link = get(f"/videos/{video['id']}/download-url").json()
    left = datetime.datetime.fromisoformat(link["expires_at"]) - datetime.datetime.now(datetime.UTC)

    assert client.get(link["url"]).content == archive
    assert datetime.timedelta(hours=11) < left <= datetime.timedelta(hours=12)


def test_a_link_lasts_no_longer_than_the_archive(upload, get, complete):
    video = upload()
    complete(video)
    expires_at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    change_video(video, expires_at=expires_at)

    link = get(f"/videos/{video['id']}/download-url").json()

    assert abs(datetime.datetime.fromisoformat(link["expires_at"]) - expires_at) < datetime.timedelta(seconds=1)


@pytest.mark.parametrize("path", ["/videos/download/{id}", "/videos/{id}/download-url"])
def test_archives_that_are_not_there(upload, get, complete, storage: Storage, path: str):
    waiting, expired, lost = upload(), upload(), upload()
    complete(expired)
    change_video(expired, expires_at=datetime.datetime.now(datetime.UTC))
    complete(lost)
    storage.delete_prefix(f"results/{lost['extraction_id']}/")

    answers = [get(path.format(id=video["id"])) for video in (waiting, expired, lost)]

    assert [answer.status_code for answer in answers] == [409, 410, 410]
    assert [answer.json()["code"] for answer in answers] == ["NOTHING_READY", "ARCHIVE_EXPIRED", "ARCHIVE_EXPIRED"]


def test_a_deleted_video_is_gone_at_once_and_its_objects_after(
    client: TestClient, user, upload, get, complete, storage: Storage
):
    video = upload()
    complete(video)
    paths = [f"/videos/{video['id']}", f"/videos/download/{video['id']}", f"/videos/{video['id']}/download-url"]

    deleted = client.delete(paths[0], headers=user.headers)
    again = client.delete(paths[0], headers=user.headers)
    answers = [get(path).status_code for path in paths]
    listed = json.dumps(get("/videos/status", params={"limit": 200}).json())
    for _ in range(2):
        retention.remove_buried(storage)

    assert (deleted.status_code, deleted.content, again.status_code) == (204, b"", 404)
    assert answers == [404, 404, 404]
    assert video["id"] not in listed
    assert not [*storage.list(f"videos/{video['id']}"), *storage.list(f"results/{video['extraction_id']}")]
    with open_session() as session:
        assert session.get(Video, uuid.UUID(video["id"])) is None


def test_a_deleted_video_makes_room(start_api, make_user):
    api, owner = start_api(USER_STORED_MAX_BYTES="1000"), make_user()

    def upload() -> httpx2.Response:
        return httpx2.post(f"{api.url}/videos/upload", files={"file": ("a.mp4", b"x" * 600)}, headers=owner.headers)

    first, full = upload(), upload()
    httpx2.delete(f"{api.url}{first.headers['location']}", headers=owner.headers)

    assert (first.status_code, full.status_code, upload().status_code) == (202, 507, 202)


def test_ids_that_are_none_are_422(get):
    assert get("/videos/none").status_code == 422


def test_the_source_plays_once_the_video_is_probed(upload, get):
    path = f"/videos/{(video := upload())['id']}/source"
    assert (get(path).status_code, get(path).json()["code"]) == (409, "NOT_PROBED")

    change_video(video, media={"container": "mov,mp4,m4a,3gp,3g2,mj2"})
    part = get(path, headers={"Range": "bytes=3-"})

    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"video", "bytes 3-7/8")
    assert part.headers["Content-Type"] == "video/mp4"
    assert part.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in part.headers["Content-Security-Policy"]


def test_a_source_that_no_browser_plays_is_only_bytes(upload, get):
    change_video(video := upload(), media={"container": "avi"})

    assert get(f"/videos/{video['id']}/source").headers["Content-Type"] == "application/octet-stream"
