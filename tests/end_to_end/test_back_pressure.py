"""Where there is too much of something or too little: a clear answer soon, and nothing is lost."""

import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psutil
import pytest

from tests.clips import Clip
from tests.end_to_end.service import QUICK, Person, Service
from tests.end_to_end.test_shutdown import Away, frozen, killed
from tests.waiting import wait_until

FULL_AT_BYTES = 64 * 1024


@pytest.fixture(autouse=True)
def nobody_works_on(service: Service) -> Iterator[None]:
    """Each test starts workers of its own."""
    yield
    service.end_workers()


def test_a_full_disk_delays_a_worker_and_costs_nothing(service: Service, person: Person, clip: Clip):
    (worker,) = service.start_workers(**QUICK)
    # No file of this process grows beyond that, which is told to it much as a full disk is.
    psutil.Process(worker.pid).rlimit(resource.RLIMIT_FSIZE, (FULL_AT_BYTES, resource.RLIM_INFINITY))
    video = person.upload(clip.path, plan='{"mode": "all", "quality": 100}')
    failed = "SELECT 1 FROM segments WHERE video_id = %s AND infra_failures > 0 AND status = 'PENDING'"
    wait_until(lambda: service.rows(failed, video["id"]), 30)
    left = [path.name for path in service.objects_of(video)]
    psutil.Process(worker.pid).rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    video = person.wait_for(video, "COMPLETED")

    assert left == ["source"]
    assert worker.is_running()
    assert video["frames"] == clip.frames
    assert len(person.download(video)) == video["archive_bytes"] > FULL_AT_BYTES
    assert person.no_more_mail_comes() == ["completed"]


@pytest.mark.parametrize("away", [killed, frozen])
def test_a_database_that_is_away_is_told_soon_and_takes_nothing_along(
    away: Away, service: Service, person: Person, clip: Clip
):
    kept = person.upload(clip.path, extract="false")
    form = Form(clip.path.read_bytes())

    def upload_slowly() -> httpx2.Response:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        return person.client.post("/videos/upload", content=form.pieces(), headers=headers)

    def ask(method: str, path: str, **more: Any) -> tuple[httpx2.Response, float]:
        began = time.monotonic()
        answer = person.client.request(method, path, **more)
        return answer, time.monotonic() - began

    with ThreadPoolExecutor(1) as pool:
        uploading = pool.submit(upload_slowly)
        under_way = "SELECT 1 FROM uploads JOIN users ON users.id = user_id WHERE email = %s"
        wait_until(lambda: service.rows(under_way, person.email))
        with away(service, "database"):
            form.is_away.set()
            told = [(uploading.result(), time.monotonic() - form.sent_at)]
            told.append(ask("GET", f"/videos/{kept['id']}"))
            told.append(ask("POST", f"/videos/{kept['id']}/extractions", json={"mode": "all"}))
            told.append(ask("POST", "/videos/upload", files={"file": ("a.mp4", form.content)}))

    assert [(answer.status_code, answer.json()["code"]) for answer, _ in told] == [(503, "UNAVAILABLE")] * 4
    assert max(seconds for _, seconds in told) < 3.5
    assert [item["id"] for item in person.call("get", "/videos/status", 200)["items"]] == [kept["id"]]


class Form:
    """An upload in two pieces: the second comes when the database is away."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.is_away = threading.Event()
        self.sent_at = 0.0

    def pieces(self) -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n' + self.content
        self.is_away.wait(timeout=30)
        self.sent_at = time.monotonic()
        yield b"\r\n--x--\r\n"
