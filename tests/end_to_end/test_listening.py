"""Who listens misses nothing, whatever breaks in between."""

import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.local_stack.processes import Part, free_port
from tests.clips import draw_clip
from tests.end_to_end.service import ENDED, QUICK, Person, Service, answers
from tests.listening import Listener
from tests.waiting import wait_until

VIDEOS = int(os.environ.get("FOTOGRAMA_LISTENED", "30"))


@pytest.fixture
def other_api(service: Service) -> Iterator[str]:
    """The address of a second API process."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = f"uvicorn main:app --port {port}".split()
    process = service.begin(
        "other-api", Part("API", words, lambda _: answers(f"{url}/health/live"), service.environment)
    )
    yield url
    process.stop()


def make_clips(folder: Path) -> list[Path]:
    """Clips that differ in a box that no player looks at: what was asked before would be answered without work."""
    drawn = draw_clip(folder / "tiny.mp4", frames=3).path.read_bytes()
    clips = [folder / f"{number}.mp4" for number in range(VIDEOS)]
    for number, clip in enumerate(clips):
        clip.write_bytes(drawn + struct.pack(">I4sI", 12, b"free", number))
    return clips


def test_listener_sees_every_video_end_as_get_tells_it(
    service: Service, person: Person, other_api: str, tmp_path: Path
) -> None:
    clips = make_clips(tmp_path)
    service.start_workers(2, **QUICK)
    with Listener(service.url, dict(person.client.headers)) as listener, ThreadPoolExecutor(4) as threads:

        def ended() -> int:
            return sum(video["status"] in ENDED for video in listener.videos.values())

        uploads = [threads.submit(person.upload, clip) for clip in clips]
        wait_until(lambda: ended() >= VIDEOS * 0.2, 60)
        listener.cut()
        listener.listen(other_api)
        videos = [upload.result() for upload in uploads]
        wait_until(lambda: ended() >= VIDEOS * 0.4, 60)
        service.processes["database"].kill()
        service.begin_again("database")
        wait_until(lambda: ended() >= VIDEOS * 0.7, 60)
        listener.cut()
        listener.listen(service.url)
        wait_until(lambda: ended() == VIDEOS, 60)

        told = listener.videos
    assert told == {video["id"]: person.video(video) for video in videos}
    assert {video["status"] for video in told.values()} == {"COMPLETED"}
