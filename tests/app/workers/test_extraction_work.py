"""A worker's work, in this process and with a real decoder: safe to run twice, to stop and to lose."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import psutil
import pytest
from sqlalchemy import func, select, update

from app.api.schemas import VideoView
from app.database import open_session
from app.extractions import lifecycle, queries, segment_lifecycle
from app.extractions.models import Extraction, Segment, Status
from app.extractions.states import VideoState
from app.notifications.models import Email
from app.storage import Storage
from app.workers.extraction import work_on_next_segment
from fotograma.extraction import extract
from fotograma.plan import All, At, Every, Plan
from tests.app.workers.conftest import PLAN
from tests.clips import Clip, read_number
from tests.long_clips import make_long_clip

GOES_ON = threading.Event()


def work() -> bool:
    return work_on_next_segment(stopping=GOES_ON)


def state_of(asked: VideoState) -> VideoState:
    with open_session() as session:
        return queries.video_state(session, asked.video.id, user_id=asked.video.user_id)


def segments_of(asked: VideoState) -> list[Segment]:
    with open_session() as session:
        return [*session.scalars(select(Segment).where(Segment.video_id == asked.video.id))]


def archive_of(asked: VideoState, storage: Storage) -> bytes:
    extraction = state_of(asked).newest.extraction
    content = b"".join(storage.read(extraction.archive_key))
    assert len(content) == extraction.archive_bytes
    assert hashlib.sha256(content).hexdigest() == extraction.archive_sha256
    return content


def numbers_in(archive: bytes) -> list[int]:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        assert file.testzip() is None
        pictures = [file.read(name) for name in file.namelist() if name.endswith(".jpg")]
    return [read_number(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)) for picture in pictures]


def decoders() -> list[psutil.Process]:
    """The decoding processes that this one has started."""
    return [child for child in psutil.Process().children() if "fotograma.child" in " ".join(child.cmdline())]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """So many and such large pictures that decoding can be caught at it."""
    return make_long_clip(tmp_path_factory.mktemp("clips") / "long.mp4", frames=400)


def test_the_frames_asked_for_are_in_the_archive(submit, clip: Clip, storage: Storage):
    asked = submit(clip.path)
    work()
    state = state_of(asked)
    archive = archive_of(asked, storage)
    manifest = json.loads(zipfile.ZipFile(io.BytesIO(archive)).read("manifest.json"))

    assert (state.status, state.progress.fraction, state.newest.extraction.frames) == ("COMPLETED", 1.0, 4)
    assert numbers_in(archive) == [0, 25, 50, 75]
    assert [frame["time_seconds"] for frame in manifest["frames"]] == [0, 1, 2, 3]
    assert [frame["sequence"] for frame in manifest["frames"]] == [0, 1, 2, 3]
    assert state.video.media["frames"] == 100
    assert [PurePosixPath(key).name for key in storage.list("results")] == ["frames.zip", "rows", "thumbnails"]


def test_working_twice_gives_what_working_once_does(submit, clip: Clip, storage: Storage):
    asked = submit(clip.path)
    once = work()
    first = VideoView.model_validate(state_of(asked)), [*storage.list("")]
    twice = work()

    assert (once, twice) == (True, False)
    assert (VideoView.model_validate(state_of(asked)), [*storage.list("")]) == first


def test_a_worker_that_died_on_the_way_changes_no_byte(submit, make_owner, clip: Clip, storage: Storage):
    asked, again = submit(clip.path), submit(clip.path, by=make_owner())
    with open_session() as session:
        dead = segment_lifecycle.claim_segment(session, worker="dead")
        with storage.open_writer(dead.place.entries, content_type="application/octet-stream") as writer:
            writer.write(b"half of")
        past = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 1)
        session.execute(update(Segment).where(Segment.id == dead.segment_id).values(lease_expires_at=past))
    with open_session() as session:
        segment_lifecycle.expire_leases(session)
    while work():
        pass

    assert {segment.losses for segment in segments_of(asked)} == {0, 1}
    assert archive_of(asked, storage) == archive_of(again, storage)
    with open_session() as session:
        kinds = session.scalars(select(Email.kind).where(Email.extraction_id == asked.newest.extraction.id)).all()
    assert kinds == ["completed"]


def extracted(clip: Clip, folder: Path, *, plan: Plan = PLAN) -> bytes:
    """What the engine alone writes."""
    extract(clip.path, plan, sink=folder / "frames.zip")
    return (folder / "frames.zip").read_bytes()


@pytest.mark.usefixtures("cut_short")
@pytest.mark.parametrize("workers", [1, 4])
def test_a_cut_extraction_gives_what_the_engine_alone_gives(
    workers: int, submit, clip: Clip, storage: Storage, tmp_path: Path
):
    asked = submit(clip.path)
    work()
    cut = len(segments_of(asked))
    with ThreadPoolExecutor(workers) as pool:
        while any(pool.map(lambda _: work(), range(workers))):
            pass

    assert cut == 4
    assert archive_of(asked, storage) == extracted(clip, tmp_path)
    assert state_of(asked).progress.fraction == 1.0


@pytest.mark.usefixtures("cut_short")
def test_a_worker_that_died_on_a_part_costs_that_part(submit, clip: Clip, storage: Storage, tmp_path: Path):
    asked = submit(clip.path)
    work()
    with open_session() as session:
        dead = segment_lifecycle.claim_segment(session, worker="dead")
        past = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 1)
        session.execute(update(Segment).where(Segment.id == dead.segment_id).values(lease_expires_at=past))
    while work():
        pass
    with open_session() as session:
        segment_lifecycle.expire_leases(session)
    while work():
        pass

    assert sorted(segment.losses for segment in segments_of(asked)) == [0, 0, 0, 0, 1]
    assert archive_of(asked, storage) == extracted(clip, tmp_path)


@pytest.mark.usefixtures("cut_short")
def test_where_the_index_promised_too_much_the_whole_is_decoded_as_one(
    submit, clip: Clip, storage: Storage, tmp_path: Path
):
    data = bytearray(clip.path.read_bytes())
    # Pictures behind the middle are damaged; the table knows nothing of it.
    begin = data.index(b"mdat")
    place = begin + int((len(data) - begin) * 0.6)
    data[place : place + 300] = bytes(300)
    damaged = Clip(tmp_path / "clip.mp4", clip.times)
    damaged.path.write_bytes(data)
    plan = Plan(All())
    asked = submit(damaged.path, plan=plan)
    while work():
        pass

    archive = archive_of(asked, storage)
    assert archive == extracted(damaged, tmp_path, plan=plan)
    assert json.loads(zipfile.ZipFile(io.BytesIO(archive)).read("manifest.json"))["engine"]["path"] == "linear"


def test_several_at_once_share_the_work(submit, clip: Clip, storage: Storage):
    asked = [submit(clip.path, plan=Plan(Every(seconds=number + 1))) for number in range(3)]
    with ThreadPoolExecutor(4) as pool:
        worked = [*pool.map(lambda _: work(), range(4))]
    while work():
        pass

    assert sum(worked) >= 2
    assert [len(numbers_in(archive_of(one, storage))) for one in asked] == [4, 2, 2]


@pytest.mark.parametrize(
    ("plan", "code"), [(Plan(At((99,))), "NOTHING_SELECTED"), (Plan(All(), stream=7), "NO_VIDEO_STREAM")]
)
def test_a_plan_that_gives_nothing_fails_at_once(submit, clip: Clip, plan: Plan, code: str):
    asked = submit(clip.path, plan=plan)
    work()
    state = state_of(asked)

    assert (state.status, state.error.code) == ("FAILED", code)
    assert work() is False


def test_a_video_without_a_plan_is_ready(submit, clip: Clip):
    asked = submit(clip.path, plan=None)
    work()

    assert state_of(asked).status == "READY"
    assert segments_of(asked) == []


def test_a_missing_object_is_tried_again_later(submit, clip: Clip, storage: Storage):
    asked = submit(clip.path)
    storage.delete(asked.video.object_key)
    work()
    (segment,) = segments_of(asked)

    assert (segment.status, segment.infra_failures) == (Status.PENDING, 1)
    assert state_of(asked).status == "PROCESSING"


@pytest.fixture
def in_the_middle(submit, long_clip: Clip, wait_until):
    """Work on all frames of the long clip in a thread; `stop` is called once its decoder gives frames."""

    def run(stop: Callable[[VideoState], object]) -> VideoState:
        asked = submit(long_clip.path, plan=Plan(All()))
        stopping = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(work_on_next_segment, stopping=stopping)
            wait_until(decoders)
            wait_until(lambda: state_of(asked).video.probed_at)
            (stopping.set if stop is None else lambda: stop(asked))()
            working.result(timeout=30)
        return asked

    return run


def test_a_worker_told_to_stop_gives_the_segment_back(in_the_middle, storage: Storage):
    asked = in_the_middle(None)
    (segment,) = segments_of(asked)

    assert (segment.status, segment.worker) == (Status.PENDING, None)
    assert (segment.crashes, segment.losses, segment.infra_failures) == (0, 0, 0)
    assert decoders() == []
    assert [*storage.list("results")] == []


def test_a_cancelled_extraction_stops_its_decoder(in_the_middle, storage: Storage):
    def cancel(asked: VideoState) -> None:
        with open_session() as session:
            lifecycle.cancel(session, session.get_one(Extraction, asked.newest.extraction.id))

    asked = in_the_middle(cancel)

    assert state_of(asked).status == "CANCELLED"
    assert decoders() == []
    assert [*storage.list("results")] == []


def test_a_decoder_that_dies_is_tried_once_more(in_the_middle):
    asked = in_the_middle(lambda _: [decoder.kill() for decoder in decoders()])
    (segment,) = segments_of(asked)

    assert (segment.status, segment.crashes) == (Status.PENDING, 1)
