"""Frames are seen, one by one and by choice, while an extraction runs and when it is done."""

import io
import json
import threading
import uuid
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import func, select, update

from app.database import open_session
from app.extractions import retention, selection
from app.extractions.frames import FrameReader
from app.extractions.models import Segment, Status
from app.extractions.states import VideoState
from app.settings import get_settings
from app.storage import Storage
from app.videos.models import Video
from app.workers.extraction import work_on_next_segment
from fotograma.plan import All, EveryNth, ImageFormat, Plan
from tests.clips import Clip, draw_clip, read_number

PLAN = Plan(EveryNth(3))
FRAMES = 16


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Three parts, where it is cut at each key frame."""
    return draw_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=3 * FRAMES, gop=16)


def work() -> bool:
    return work_on_next_segment(stopping=threading.Event())


def work_until_one_is_left(extraction_id: uuid.UUID) -> None:
    """All but the last segment, and so not the join."""
    open_ones = select(func.count()).where(
        Segment.extraction_id == extraction_id, Segment.status.in_((Status.PENDING, Status.PROCESSING))
    )
    while True:
        assert work()
        with open_session() as session:
            if session.scalar(open_ones) == 1:
                return


def work_to_the_end() -> None:
    while work():
        pass


def picture_of(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def owner(make_user):
    return make_user()


@pytest.fixture
def asked(submit, owner, clip: Clip) -> VideoState:
    return submit(clip.path, by=owner, plan=PLAN)


@pytest.fixture
def extraction_id(asked: VideoState) -> uuid.UUID:
    return asked.newest.extraction.id


Call = Callable[..., Response]


@pytest.fixture
def get(client: TestClient, owner, extraction_id: uuid.UUID) -> Call:
    """`get("frames/0")` of the extraction, as its owner."""

    def get(path: str, **more) -> Response:
        headers = {**owner.headers, **more.pop("headers", {})}
        return client.get(f"/extractions/{extraction_id}/{path}", headers=headers, **more)

    return get


@pytest.fixture
def select_frames(client: TestClient, owner, extraction_id: uuid.UUID) -> Call:
    """`select_frames([0, 4])` of the extraction, as its owner."""

    def select_frames(sequences: object) -> Response:
        path = f"/extractions/{extraction_id}/selection"
        return client.post(path, json={"sequences": sequences}, headers=owner.headers)

    return select_frames


@pytest.fixture
def get_audit(client: TestClient, owner):
    """`get_audit()`: what this test did with the account, newest first."""

    def read() -> list[dict]:
        return client.get("/users/me/audit?limit=200", headers=owner.headers).json()["items"]

    before = {entry["id"] for entry in read()}
    return lambda: [entry for entry in read() if entry["id"] not in before]


def rows_of(get: Call, *, limit: int = 100) -> list[dict]:
    """All rows, page by page."""
    rows, cursor = [], 0
    while cursor is not None:
        page = get("frames", params={"cursor": cursor, "limit": limit}).json()
        rows += page["items"]
        cursor = page["next_cursor"]
    return rows


@pytest.mark.usefixtures("cut_short")
def test_frames_of_finished_parts_are_seen_and_stay_what_they_are(get: Call):
    before = get("frames").json()
    work()
    early = get("frames").json()
    pictures = [get(f"frames/{row['sequence']}") for row in early["items"]]
    thumbnails = [get(f"frames/{row['sequence']}/thumbnail") for row in early["items"]]
    missing = get(f"frames/{early['frames_ready']}")
    work_to_the_end()
    late = get("frames").json()
    archive = zipfile.ZipFile(io.BytesIO(get("download").content))
    manifest = json.loads(archive.read("manifest.json"))

    assert before == {"items": [], "next_cursor": 0, "frames_ready": 0, "frames_total": None, "complete": False}
    ready = early["frames_ready"]
    assert 0 < ready < FRAMES
    assert (early["next_cursor"], early["frames_total"], early["complete"]) == (ready, FRAMES, False)
    assert [row["sequence"] for row in early["items"]] == [*range(ready)]
    assert (missing.status_code, missing.json()["code"]) == (404, "FRAME_NOT_READY")

    assert (late["next_cursor"], late["frames_ready"], late["complete"]) == (None, FRAMES, True)
    assert late["items"][:ready] == early["items"]
    assert [{**row, "scores": None, "md5": None} for row in manifest["frames"]] == late["items"]
    assert [picture.content for picture in pictures] == [archive.read(row["name"]) for row in early["items"]]
    for sequence, row in enumerate(late["items"]):
        assert get(f"frames/{sequence}").content == archive.read(row["name"])
        thumbnail = get(f"frames/{sequence}/thumbnail").content
        assert read_number(picture_of(thumbnail)) == 3 * sequence
        if sequence < ready:
            assert thumbnail == thumbnails[sequence].content


@pytest.mark.usefixtures("cut_short")
def test_a_part_that_is_done_before_an_earlier_one_waits_for_it(get: Call, extraction_id: uuid.UUID):
    work()
    ready = get("frames").json()["frames_ready"]
    with open_session() as session:
        of_extraction = Segment.extraction_id == extraction_id
        postponed = func.now() + func.make_interval(0, 0, 0, 0, 1)
        session.execute(update(Segment).where(of_extraction, Segment.number == 1).values(not_before=postponed))
    work_to_the_end()
    held_up = get("frames").json()
    with open_session() as session:
        session.execute(update(Segment).where(of_extraction, Segment.number == 1).values(not_before=func.now()))
    work_to_the_end()

    assert (held_up["frames_ready"], held_up["complete"]) == (ready, False)
    assert [row["sequence"] for row in get("frames").json()["items"]] == [*range(FRAMES)]


@pytest.mark.usefixtures("cut_short")
def test_pages_of_any_size_give_the_same_rows(get: Call, extraction_id: uuid.UUID):
    work_until_one_is_left(extraction_id)
    ready = get("frames").json()
    pieces = [get("frames", params={"cursor": cursor, "limit": 3}).json() for cursor in range(0, FRAMES, 3)]
    behind = get("frames", params={"cursor": FRAMES}).json()
    work_to_the_end()

    assert [row for piece in pieces for row in piece["items"]] == ready["items"]
    assert (behind["items"], behind["next_cursor"]) == ([], FRAMES)
    whole = rows_of(get)
    assert [rows_of(get, limit=limit) for limit in (1, 7, FRAMES)] == [whole] * 3
    assert whole[: ready["frames_ready"]] == ready["items"]
    assert get("frames", params={"cursor": FRAMES + 5}).json()["next_cursor"] is None


def test_a_picture_is_shown_and_never_run(get: Call):
    work_to_the_end()
    [row] = get("frames", params={"limit": 1}).json()["items"]
    picture, thumbnail = get("frames/0"), get("frames/0/thumbnail")

    for answer in (picture, thumbnail):
        assert answer.status_code == 200
        assert answer.headers["Content-Length"] == str(len(answer.content))
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer.headers["Cache-Control"] == "private, max-age=86400, immutable"
        assert answer.headers["Vary"] == "Authorization, Cookie"
        assert answer.headers["Content-Type"] == "image/jpeg"
    assert picture.headers["ETag"] == f'"{row["sha256"]}"'
    assert picture.headers["Content-Disposition"] == f'inline; filename="{row["name"]}"'
    assert picture_of(thumbnail.content).shape[1] == 160


@pytest.mark.parametrize("path", ["frames/3", "frames/3/thumbnail"])
def test_what_a_browser_has_is_not_sent_again(get: Call, path: str):
    work_to_the_end()
    etag = get(path).headers["ETag"]
    again = get(path, headers={"If-None-Match": etag})

    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    assert get(path.replace("3", "4"), headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize("image_format", ["png", "webp", "avif"])
def test_pictures_are_of_the_plans_format_and_thumbnails_are_jpeg(
    submit, client: TestClient, owner, clip: Clip, image_format: ImageFormat
):
    asked = submit(clip.path, by=owner, plan=Plan(EveryNth(24), format=image_format))
    work_to_the_end()
    path = f"/extractions/{asked.newest.extraction.id}/frames/1"
    picture, thumbnail = (client.get(path + more, headers=owner.headers) for more in ("", "/thumbnail"))

    assert picture.headers["Content-Type"] == f"image/{image_format}"
    assert thumbnail.headers["Content-Type"] == "image/jpeg"
    assert [read_number(picture_of(answer.content)) for answer in (picture, thumbnail)] == [24, 24]


@pytest.mark.usefixtures("cut_short")
def test_a_selection_is_an_archive_of_its_own(get: Call, select_frames: Call, extraction_id: uuid.UUID):
    work_until_one_is_left(extraction_id)
    chosen = [7, 0, 1, 2, 10, 7]
    early = select_frames(chosen)
    work_to_the_end()
    late = select_frames(chosen)
    whole = zipfile.ZipFile(io.BytesIO(get("download").content))
    rows = json.loads(whole.read("manifest.json"))

    assert early.content == late.content
    assert early.headers["Content-Length"] == str(len(early.content))
    assert early.headers["Content-Type"] == "application/zip"
    assert "clip-selection.zip" in early.headers["Content-Disposition"]
    archive = zipfile.ZipFile(io.BytesIO(early.content))
    expected = [rows["frames"][sequence] for sequence in (0, 1, 2, 7, 10)]
    assert archive.testzip() is None
    assert archive.namelist() == [*(row["name"] for row in expected), "manifest.json", "manifest.csv"]
    assert json.loads(archive.read("manifest.json")) == {**rows, "frames": expected}
    assert len(archive.read("manifest.csv").splitlines()) == 6
    assert [archive.read(row["name"]) for row in expected] == [whole.read(row["name"]) for row in expected]


def test_a_manifest_can_be_had_without_the_archive(get: Call):
    early = get("manifest.json")
    work_to_the_end()
    whole = zipfile.ZipFile(io.BytesIO(get("download").content))

    assert (early.status_code, early.json()["code"]) == (409, "NOTHING_READY")
    for name, content_type in (("manifest.json", "application/json"), ("manifest.csv", "text/csv; charset=utf-8")):
        answer = get(name)
        assert answer.content == whole.read(name)
        assert answer.headers["Content-Length"] == str(len(answer.content))
        assert answer.headers["Content-Type"] == content_type
    assert get("manifest.xml").status_code == 422


def test_all_selected_is_the_archive_itself(get: Call, select_frames: Call):
    work_to_the_end()

    assert select_frames([*range(FRAMES)]).content == get("download").content


def test_what_can_not_be_selected_is_told(select_frames: Call):
    early = select_frames([0])
    work_to_the_end()
    unknown = select_frames([3, FRAMES])

    assert (early.status_code, early.json()["code"]) == (404, "FRAME_NOT_READY")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "FRAME_NOT_FOUND")
    assert str(FRAMES) in unknown.json()["detail"]
    for sequences in ([], [-1], [2**31], ["x"], [0.5], None, [*range(20_001)]):
        assert select_frames(sequences).status_code == 422, sequences


@pytest.mark.usefixtures("cut_short")
def test_who_reads_while_the_join_takes_the_parts_away_notices_nothing(
    owner, extraction_id: uuid.UUID, storage: Storage, get: Call
):
    work_until_one_is_left(extraction_id)
    chosen = [0, 2, 4, 6, 8]
    looked_up = [FrameReader(storage, extraction_id, user_id=owner.id) for _ in range(4)]
    half_sent = selection.select_frames(looked_up[3], chosen)
    first = next(half_sent.chunks)
    objects = {*storage.list(f"results/{extraction_id}")}
    work_to_the_end()

    # What they have looked up is gone.
    assert not objects & {*storage.list(f"results/{extraction_id}")}
    assert b"".join(looked_up[0].picture(4).chunks) == get("frames/4").content
    assert looked_up[1].thumbnail(4) == get("frames/4/thumbnail").content
    assert [row.sequence for row in looked_up[2].page(first=0, limit=100).items] == [*range(FRAMES)]
    archive = zipfile.ZipFile(io.BytesIO(first + b"".join(half_sent.chunks)))
    assert archive.testzip() is None
    assert len(archive.namelist()) == len(chosen) + 2


@pytest.mark.usefixtures("cut_short")
def test_no_request_fails_while_parts_become_the_archive(get: Call):
    work()
    picture = get("frames/0").content
    answers = []
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work_to_the_end)
        while not working.done():
            answers += [get("frames/0"), get("frames"), get("frames/0/thumbnail")]
        working.result()

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.content for answer in answers[::3]} == {picture}
    counts = [answer.json()["frames_ready"] for answer in answers[1::3]]
    assert counts == sorted(counts)


def test_leftovers_are_removed_without_them_and_a_deleted_video_takes_them_along(
    get: Call, client: TestClient, owner, asked: VideoState, storage: Storage
):
    work_to_the_end()
    retention.remove_leftovers(storage)
    kept = [get(path).status_code for path in ("frames", "frames/0", "frames/0/thumbnail")]
    client.delete(f"/videos/{asked.video.id}", headers=owner.headers)
    retention.remove_buried(storage)

    assert kept == [200, 200, 200]
    assert get("frames").json()["code"] == "EXTRACTION_NOT_FOUND"
    assert [*storage.list(f"results/{asked.newest.extraction.id}")] == []


@pytest.mark.usefixtures("cut_short")
def test_of_what_was_cancelled_there_is_no_frame(get: Call, client: TestClient, owner, extraction_id: uuid.UUID):
    work()
    client.post(f"/extractions/{extraction_id}/cancel", headers=owner.headers)

    for path in ("frames", "frames/0", "frames/0/thumbnail"):
        assert (get(path).status_code, get(path).json()["code"]) == (410, "FRAMES_DROPPED")


def test_frames_expire_with_their_video(get: Call, asked: VideoState, select_frames: Call):
    work_to_the_end()
    with open_session() as session:
        session.execute(update(Video).where(Video.id == asked.video.id).values(expires_at=func.now()))

    for answer in (get("frames"), get("frames/0"), get("frames/0/thumbnail"), select_frames([0])):
        assert (answer.status_code, answer.json()["code"]) == (410, "ARCHIVE_EXPIRED")


def test_another_user_sees_none(client: TestClient, make_user, extraction_id: uuid.UUID):
    work_to_the_end()
    stranger = make_user()
    path = f"/extractions/{extraction_id}"

    for more in ("frames", "frames/0", "frames/0/thumbnail", "frames/99"):
        answer = client.get(f"{path}/{more}", headers=stranger.headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "EXTRACTION_NOT_FOUND")
    answer = client.post(f"{path}/selection", json={"sequences": [0]}, headers=stranger.headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "EXTRACTION_NOT_FOUND")


def test_what_the_decoder_gives_of_many_frames_is_found_one_by_one(submit, client: TestClient, owner, clip: Clip):
    asked = submit(clip.path, by=owner, plan=Plan(All()))
    work_to_the_end()
    path = f"/extractions/{asked.newest.extraction.id}/frames"

    for sequence in (0, 1, 30, 46, 47):
        picture = client.get(f"{path}/{sequence}", headers=owner.headers)
        assert read_number(picture_of(picture.content)) == sequence
    assert client.get(f"{path}/48", headers=owner.headers).json()["code"] == "FRAME_NOT_FOUND"


def test_what_was_downloaded_is_told_once_each(
    client: TestClient, get: Call, select_frames: Call, asked: VideoState, owner, get_audit
):
    work_to_the_end()
    source = f"/videos/{asked.video.id}/source"
    link = get("download-url").json()["url"].removeprefix(get_settings().public_url)
    size = len(get("download").content)
    # Goes on with what broke off, which is no other download.
    get("download", headers={"Range": "bytes=100-"})
    select_frames([0, 4])
    for ranges in ({}, {"Range": "bytes=0-99"}, {"Range": "bytes=100-199"}):
        client.get(source, headers={**owner.headers, **ranges})
    for ranges in ({}, {"Range": "bytes=1-"}, {"Range": f"bytes={size}-"}):
        client.get(link, headers=ranges)
    client.get(link + "0")
    get("frames/0")

    acts = get_audit()
    assert [(act["action"], act["detail"].get("name")) for act in acts if act["action"] != "signed_in"] == [
        ("link_used", "clip-frames.zip"),
        ("video_downloaded", None),
        ("video_downloaded", None),
        ("selection_downloaded", "clip-selection.zip"),
        ("archive_downloaded", "clip-frames.zip"),
        ("link_made", "clip-frames.zip"),
    ]
    assert acts[0]["address"] == "testclient"
    assert acts[3]["detail"]["frames"] == 2


def test_download_that_leaves_out_the_beginning_is_told_too(get: Call, get_audit):
    work_to_the_end()
    for first in (1, 2, 3):
        assert get("download", headers={"Range": f"bytes={first}-"}).status_code == 206

    assert [act["action"] for act in get_audit()].count("archive_downloaded") == 1
