"""What was asked before, of the same bytes, is answered from what is there; each answer stands by itself."""

import shutil
import threading
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.database import open_session
from app.extractions import lifecycle, queries, retention
from app.extractions.models import Extraction, Segment, Step
from app.extractions.states import ExtractionState, VideoState
from app.notifications.models import Email
from app.storage import Storage
from app.workers.extraction import work_on_next_segment
from fotograma.extraction import extract
from fotograma.plan import Every, Plan
from tests.app.workers.conftest import PLAN
from tests.clips import Clip


def work_on(asked: VideoState) -> Extraction:
    """Work until nothing waits; the extraction as it then is."""
    while work_on_next_segment(stopping=threading.Event()):
        pass
    with open_session() as session:
        return session.get_one(Extraction, asked.newest.extraction.id)


def was_decoded(extraction: Extraction) -> bool:
    """Whether frames were taken for it."""
    with open_session() as session:
        steps = session.scalars(select(Segment.step).where(Segment.extraction_id == extraction.id)).all()
    return Step.FRAMES in steps


def content_of(storage: Storage, extraction: Extraction) -> bytes:
    return b"".join(storage.read(extraction.archive_key))


def delete(storage: Storage, asked: VideoState) -> None:
    with open_session() as session:
        lifecycle.withdraw(session, asked.video)
    retention.remove_buried(storage)


def test_the_same_again_is_answered_from_what_is_there(submit, clip: Clip, storage: Storage, tmp_path: Path):
    first = work_on(submit(clip.path))
    renamed = shutil.copy(clip.path, tmp_path / "renamed.mp4")
    asked = submit(renamed)
    again = work_on(asked)
    extract(renamed, PLAN, sink=tmp_path / "frames.zip")
    with open_session() as session:
        state = queries.video_state(session, asked.video.id, user_id=asked.video.user_id)
        kinds = session.scalars(select(Email.kind).where(Email.extraction_id == again.id)).all()

    assert (was_decoded(first), was_decoded(again)) == (True, False)
    assert content_of(storage, again) == (tmp_path / "frames.zip").read_bytes()
    assert (state.status, state.progress.fraction, again.frames) == ("COMPLETED", 1.0, first.frames)
    assert state.video.media["name"] == "renamed.mp4"
    assert kinds == ["completed"]


def test_it_needs_the_first_no_more(submit, clip: Clip, storage: Storage):
    asked = submit(clip.path)
    work_on(asked)
    again = work_on(submit(clip.path))
    with open_session() as session:
        stored = queries.stored_bytes(session, user_id=again.user_id)
    delete(storage, asked)
    retention.remove_leftovers(storage)
    with open_session() as session:
        left = queries.stored_bytes(session, user_id=again.user_id)

    assert len(content_of(storage, again)) == again.archive_bytes
    assert sorted(key.rpartition("/")[2] for key in storage.list("results")) == ["frames.zip", "rows", "thumbnails"]
    assert stored == 2 * left == 2 * (clip.path.stat().st_size + again.archive_bytes)


def test_the_same_video_may_be_asked_the_same_again(submit, clip: Clip, storage: Storage):
    asked = submit(clip.path)
    first = work_on(asked)
    with open_session() as session:
        again = lifecycle.request_extraction(session, asked.video, plan=PLAN)
    again = work_on(VideoState(asked.video, ExtractionState(again, asked.video, frames_done=0)))

    assert not was_decoded(again)
    assert again.archive_key != first.archive_key
    assert content_of(storage, again) == content_of(storage, first)


@pytest.mark.parametrize("other", ["user", "plan", "bytes", "engine", "deleted", "object gone"])
def test_what_is_not_the_same_is_decoded(submit, make_owner, clip: Clip, storage: Storage, tmp_path: Path, other: str):
    asked = submit(clip.path)
    first = work_on(asked)
    path, plan, by = clip.path, PLAN, None
    if other == "user":
        by = make_owner()
    elif other == "plan":
        plan = Plan(Every(seconds=2))
    elif other == "bytes":
        path = tmp_path / "clip.mp4"
        path.write_bytes(clip.path.read_bytes() + b"\0")
    elif other == "engine":
        with open_session() as session:
            session.execute(update(Extraction).values(engine={**first.engine, "av": "0"}))
    elif other == "deleted":
        delete(storage, asked)
    else:
        storage.delete(first.archive_key)
    again = work_on(submit(path, plan=plan, by=by))

    assert was_decoded(again)
    assert again.status == "COMPLETED"
    assert len(content_of(storage, again)) == again.archive_bytes
