"""A video that came in parts: put together once, by whoever takes it, and then worked on as any other."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from app.accounts.models import User
from app.database import open_session
from app.extractions import admission, lifecycle, queries, segment_lifecycle, tasks, work_lifecycle
from app.extractions.errors import LeaseLost
from app.extractions.models import Segment, Status
from app.extractions.states import VideoState
from app.storage import Storage
from app.videos import upload_lifecycle
from app.videos.models import UploadPart
from app.videos.parts import PartsWriter
from app.workers import gathering
from app.workers.extraction import work_on_next_segment
from app.workers.lease import Lease
from fotograma.errors import Cancelled
from fotograma.plan import Every, Plan
from tests.clips import Clip

PLAN = Plan(Every(seconds=1))


@pytest.fixture
def arrive(quiet: None, user: User, storage: Storage) -> Callable[..., VideoState]:  # noqa: ARG001
    """`arrive(path)`: a file comes in several requests, as small as you like."""

    def arrive(path: Path, *, requests: int = 3, plan: Plan | None = PLAN) -> VideoState:
        content = path.read_bytes()
        with open_session() as session:
            begun = admission.begin_upload(
                session, user_id=user.id, filename=path.name, size_bytes=len(content), metadata_header="", plan=plan
            )
        for number in range(requests):
            with open_session() as session:
                upload = upload_lifecycle.lock(session, begun.id, user_id=user.id)

            def record(parts, *, unlock, upload=upload):
                admission.take_parts(upload, parts, unlock=unlock)

            writer = PartsWriter(storage, upload, record=record)
            writer.write(content[upload.offset_bytes : len(content) * (number + 1) // requests])
            writer.end(is_whole=True)
        with open_session() as session:
            return queries.video_state(session, begun.id, user_id=user.id)

    return arrive


def work() -> bool:
    return work_on_next_segment(stopping=threading.Event())


def state_of(asked: VideoState) -> VideoState:
    with open_session() as session:
        return queries.video_state(session, asked.video.id, user_id=asked.video.user_id)


def parts_left(asked: VideoState) -> list[UploadPart]:
    with open_session() as session:
        return [*session.scalars(select(UploadPart).where(UploadPart.upload_id == asked.video.id))]


def test_it_becomes_one_object_and_then_frames(arrive, clip: Clip, storage: Storage):
    asked = arrive(clip.path)
    work()
    state = state_of(asked)
    content = clip.path.read_bytes()

    assert asked.video.sha256 is None
    assert (state.status, state.newest.extraction.frames) == (Status.COMPLETED, 4)
    assert b"".join(storage.read(state.video.object_key)) == content
    assert (state.video.sha256, state.video.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert [*storage.list(f"videos/{asked.video.id}")] == [state.video.object_key]
    assert parts_left(asked) == []


def test_it_may_also_be_looked_at_only(arrive, clip: Clip):
    asked = arrive(clip.path, plan=None)
    work()

    assert state_of(asked).status == "READY"


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_who_asks_of_it_before_that_gets_frames_too(arrive, clip: Clip, storage: Storage, is_cancelled: bool):
    asked = arrive(clip.path)
    with open_session() as session:
        second = lifecycle.request_extraction(session, asked.video, plan=Plan(Every(seconds=2)))
        if is_cancelled:
            lifecycle.cancel(session, asked.newest.extraction)
    while work():
        pass
    with open_session() as session:
        states = {
            state.extraction.id: state.extraction
            for state in queries.list_extractions(session, asked.video.id, user_id=asked.video.user_id)
        }

    assert (states[second.id].status, states[second.id].frames) == (Status.COMPLETED, 2)
    assert states[asked.newest.extraction.id].status == (Status.CANCELLED if is_cancelled else Status.COMPLETED)
    assert [*storage.list(f"videos/{asked.video.id}")] == [state_of(asked).video.object_key]


def test_two_holders_make_one_video_of_it(arrive, clip: Clip, storage: Storage):
    """One was taken for dead, and is not."""
    asked = arrive(clip.path)
    with open_session() as session:
        slow = segment_lifecycle.claim_segment(session, worker="slow")
        task = tasks.task_of(session, slow)
    late = gathering.gather(storage, Lease(slow, stopping=threading.Event()), task)
    with open_session() as session:
        segment_lifecycle.give_back(session, slow)
    work()
    with pytest.raises(LeaseLost), open_session() as session:
        work_lifecycle.record_source(
            session, slow, object_key=late.object_key, size_bytes=late.size_bytes, sha256="of another"
        )
    state = state_of(asked)

    assert state.status == Status.COMPLETED
    assert state.video.sha256 == hashlib.sha256(clip.path.read_bytes()).hexdigest()
    assert [*storage.list(f"videos/{asked.video.id}")] == [state.video.object_key]


def test_a_worker_that_ends_leaves_it_to_others(arrive, clip: Clip, storage: Storage):
    asked = arrive(clip.path)
    before = [*storage.list(f"videos/{asked.video.id}")]
    stopping = threading.Event()
    stopping.set()
    with open_session() as session:
        claim = segment_lifecycle.claim_segment(session, worker="ending")
        task = tasks.task_of(session, claim)

    with pytest.raises(Cancelled):
        gathering.gather(storage, Lease(claim, stopping=stopping), task)
    assert [*storage.list(f"videos/{asked.video.id}")] == before


def test_a_part_that_can_not_be_read_now_is_tried_again(arrive, clip: Clip, storage: Storage):
    asked = arrive(clip.path)
    (part,) = parts_left(asked)
    content = b"".join(storage.read(part.object_key))
    storage.delete(part.object_key)
    work()
    with open_session() as session:
        segment = session.scalars(select(Segment).where(Segment.video_id == asked.video.id)).one()

    assert (segment.status, segment.infra_failures) == (Status.PENDING, 1)

    with storage.open_writer(part.object_key, content_type="application/octet-stream") as writer:
        writer.write(content)
    with open_session() as session:
        session.get_one(Segment, segment.id).not_before = segment.created_at
    work()

    assert state_of(asked).status == Status.COMPLETED
