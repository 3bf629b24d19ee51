"""Uploads and videos without HTTP: what an accident leaves is found and removed, and nothing else is."""

import datetime
import uuid

import pytest
from sqlalchemy import func, update

from app.database import new_id, open_session
from app.storage import Storage, get_storage
from app.videos import lifecycle, queries
from app.videos.errors import UploadAbandoned, VideoNotFound
from app.videos.models import Upload, Video


@pytest.fixture
def storage(environment: dict[str, str]) -> Storage:  # noqa: ARG001
    return get_storage()


@pytest.fixture
def upload(storage: Storage) -> Upload:
    """An upload whose bytes are in storage."""
    with open_session() as session:
        upload = lifecycle.open_upload(session, user_id=new_id(), size_bytes=0)
    with storage.open_writer(upload.object_key, content_type="application/octet-stream") as writer:
        writer.write(b"bytes")
    return upload


def admit(upload: Upload) -> Video:
    with open_session() as session:
        return lifecycle.admit(session, upload.id, filename="a.mp4", size_bytes=5, sha256="0" * 64)


def is_kept(storage: Storage, upload: Upload) -> bool:
    return upload.object_key in set(storage.list("videos"))


def abandon(upload: Upload) -> None:
    with open_session() as session:
        gone = func.now() - datetime.timedelta(seconds=1)
        session.execute(update(Upload).where(Upload.id == upload.id).values(abandoned_at=gone))


def test_a_failed_upload_leaves_nothing(storage: Storage, upload: Upload):
    for _ in range(2):
        lifecycle.drop_upload(storage, upload.id)

    assert not is_kept(storage, upload)
    with open_session() as session:
        assert session.get(Upload, upload.id) is None


def test_an_admitted_upload_can_not_be_dropped(storage: Storage, upload: Upload):
    # Where the answer to the commit was lost, the uploader can't know, and drops.
    admit(upload)
    lifecycle.drop_upload(storage, upload.id)

    assert is_kept(storage, upload)


def test_a_dropped_upload_can_not_be_admitted(storage: Storage, upload: Upload):
    lifecycle.drop_upload(storage, upload.id)

    with pytest.raises(UploadAbandoned):
        admit(upload)


def test_the_upload_of_a_dead_process_is_removed_in_time(storage: Storage, upload: Upload):
    lifecycle.remove_abandoned_uploads(storage)
    early = is_kept(storage, upload)
    abandon(upload)
    for _ in range(2):
        lifecycle.remove_abandoned_uploads(storage)

    assert early
    assert not is_kept(storage, upload)


def test_an_upload_that_is_being_admitted_is_left_alone(storage: Storage, upload: Upload):
    abandon(upload)
    with open_session() as session:
        video = lifecycle.admit(session, upload.id, filename="a.mp4", size_bytes=5, sha256="0" * 64)
        lifecycle.remove_abandoned_uploads(storage)

    assert is_kept(storage, upload)
    with open_session() as session:
        assert queries.get_video(session, video.id, user_id=upload.user_id).size_bytes == 5


def test_a_buried_video_is_not_found(upload: Upload):
    video = admit(upload)
    with open_session() as session:
        lifecycle.bury(session, video)

    with open_session() as session, pytest.raises(VideoNotFound):
        queries.get_video(session, video.id, user_id=upload.user_id)


def test_only_a_buried_video_is_forgotten(upload: Upload):
    video = admit(upload)
    with open_session() as session:
        lifecycle.forget(session, video.id)
        found = session.get(Video, video.id)
        lifecycle.bury(session, video)
        lifecycle.forget(session, video.id)

    assert found is not None
    with open_session() as session:
        assert session.get(Video, video.id) is None


def test_a_probe_that_succeeds_later_takes_the_failure_back(upload: Upload):
    video = admit(upload)
    with open_session() as session:
        lifecycle.record_probe_failure(session, video.id, code="STORAGE_UNAVAILABLE", message="Try again.")
        lifecycle.record_probe(session, video.id, media={"width": 2}, packet_index=b"packets")

    with open_session() as session:
        found = queries.get_video(session, video.id, user_id=upload.user_id)
        assert (found.media, found.packet_index, found.error_code) == ({"width": 2}, b"packets", None)


def test_nobody_else_finds_it(upload: Upload):
    video = admit(upload)

    with open_session() as session, pytest.raises(VideoNotFound):
        queries.get_video(session, video.id, user_id=uuid.uuid4())


@pytest.mark.parametrize(
    ("filename", "archive"),
    [
        ("holiday.mp4", "holiday-frames.zip"),
        ("holiday.final.mp4", "holiday.final-frames.zip"),
        ("holiday", "holiday-frames.zip"),
        (".mp4", "mp4-frames.zip"),
        ("...", "video-frames.zip"),
        ("férias 🎬.mov", "férias 🎬-frames.zip"),
        ("x" * 255, "x" * 100 + "-frames.zip"),
    ],
)
def test_an_archive_is_named_after_its_video(filename: str, archive: str):
    assert lifecycle.archive_name(filename) == archive
