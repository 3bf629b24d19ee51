"""Whatever dies on the way: what was acknowledged is done, once, and its owner gets one mail."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests.clips import Clip
from tests.end_to_end.archives import pictures_in
from tests.end_to_end.service import QUICK, Person, Service, all_gone
from tests.waiting import wait_until

ALL = '{"mode": "all"}'


@pytest.fixture(autouse=True)
def nobody_works_on(service: Service) -> Iterator[None]:
    """Each test starts workers of its own."""
    yield
    service.end_workers()


def is_complete(person: Person, video: dict[str, Any], clip: Clip) -> bool:
    """Whether each picture of the long clip is in the one archive, and one mail came."""
    numbers = [*pictures_in(person.download(video)).values()]
    assert numbers == [number % 50 for number in range(clip.frames)]
    assert (len(person.download(video)), len(numbers)) == (video["archive_bytes"], video["frames"])
    assert person.no_more_mail_comes() == ["completed"]
    wait_until(lambda: len(person.service.objects_of(video)) == 2, 10)
    return True


def counters_of(service: Service, video: dict[str, Any]) -> tuple[int, int, int]:
    """Crashes, losses and infrastructure failures of all its segments."""
    (sums,) = service.rows(
        "SELECT sum(crashes), sum(losses), sum(infra_failures) FROM segments WHERE video_id = %s", video["id"]
    )
    return sums


def test_a_killed_worker_is_followed_by_another(service: Service, person: Person, long_clip: Clip):
    service.start_workers(2, **QUICK)
    video = person.upload(long_clip.path, plan=ALL)
    holder, orphans = service.hold(video)
    os.kill(holder.pid, signal.SIGKILL)
    video = person.wait_for(video, "COMPLETED")

    assert all_gone(orphans)
    assert is_complete(person, video, long_clip)
    assert counters_of(service, video) == (0, 1, 0)


def test_with_default_leases_another_goes_on_within_15_seconds(service: Service, person: Person, long_clip: Clip):
    service.start_workers(2)
    video = person.upload(long_clip.path, plan=ALL)
    holder, _ = service.hold(video)
    os.kill(holder.pid, signal.SIGKILL)
    killed_at = time.monotonic()
    wait_until(lambda: service.rows("SELECT 1 FROM segments WHERE token = 2 AND video_id = %s", video["id"]), 20)
    waited_seconds = time.monotonic() - killed_at
    video = person.wait_for(video, "COMPLETED")

    assert waited_seconds <= 15
    assert is_complete(person, video, long_clip)


def test_a_worker_told_to_stop_hands_its_work_over(service: Service, person: Person, long_clip: Clip):
    service.start_workers(2, **QUICK)
    video = person.upload(long_clip.path, plan=ALL)
    holder, _ = service.hold(video)
    told_at = time.monotonic()
    holder.ask_to_stop()
    wait_until(lambda: not holder.is_running(), 12)
    took_seconds = time.monotonic() - told_at
    video = person.wait_for(video, "COMPLETED")

    assert took_seconds <= 10
    assert is_complete(person, video, long_clip)
    assert counters_of(service, video) == (0, 0, 0)


def test_a_worker_that_slept_changes_nothing_when_it_wakes(service: Service, person: Person, long_clip: Clip):
    service.start_workers(2, **QUICK)
    video = person.upload(long_clip.path, plan=ALL)
    holder, held = service.hold(video)
    sleepers = [psutil.Process(holder.pid), *held]
    for sleeper in sleepers:
        sleeper.suspend()
    done = person.wait_for(video, "COMPLETED")
    for sleeper in sleepers:
        sleeper.resume()
    wait_until(lambda: "lease lost" in holder.output(), 20)

    assert person.video(video) == done
    assert is_complete(person, done, long_clip)
    assert holder.is_running()


def test_a_killed_decoder_is_tried_once_more(service: Service, person: Person, long_clip: Clip):
    (worker,) = service.start_workers(**QUICK)
    video = person.upload(long_clip.path, plan=ALL)
    _, held = service.hold(video)
    for decoder in held:
        decoder.kill()
    video = person.wait_for(video, "COMPLETED")

    assert is_complete(person, video, long_clip)
    assert counters_of(service, video) == (1, 0, 0)
    assert worker.is_running()


def test_a_cancelled_extraction_stops(service: Service, person: Person, long_clip: Clip):
    (worker,) = service.start_workers()
    video = person.upload(long_clip.path, plan=ALL)
    _, held = service.hold(video)
    answer = person.call("post", f"/extractions/{video['extraction_id']}/cancel", 202)
    wait_until(lambda: all_gone(held), 10)

    assert answer["status"] == person.video(video)["status"] == "CANCELLED"
    assert [path.name for path in service.objects_of(video)] == ["source"]
    assert person.no_more_mail_comes() == []
    assert worker.is_running()


def test_a_video_deleted_in_the_middle_leaves_nothing(service: Service, person: Person, long_clip: Clip):
    (worker,) = service.start_workers()
    video = person.upload(long_clip.path, plan=ALL)
    _, held = service.hold(video)
    before = service.objects_of(video)
    person.call("delete", f"/videos/{video['id']}", 204)
    wait_until(lambda: all_gone(held), 10)
    wait_until(lambda: not [path for path in before if path.exists()])

    assert not [path for path in service.objects.rglob("*") if video["extraction_id"] in str(path)]
    assert person.no_more_mail_comes() == []
    assert worker.is_running()


def test_a_broker_that_is_away_costs_no_upload(service: Service, person: Person, clip: Clip):
    service.start_workers(**QUICK)
    service.processes["broker"].stop()
    seconds = []
    videos = []
    for _ in range(3):
        began = time.monotonic()
        videos.append(person.upload(clip.path))
        seconds.append(time.monotonic() - began)
    service.begin("broker", service.broker.part)
    videos = [person.wait_for(video, "COMPLETED", within_seconds=60) for video in videos]

    assert max(seconds) < 1.5
    assert [video["frames"] for video in videos] == [5, 5, 5]
    assert person.no_more_mail_comes() == ["completed"] * 3


@pytest.fixture
def frozen_broker(service: Service) -> Iterator[None]:
    broker = psutil.Process(service.processes["broker"].pid)
    broker.suspend()
    yield
    broker.resume()


@pytest.mark.usefixtures("frozen_broker")
def test_a_frozen_broker_holds_no_upload_up(person: Person, clip: Clip):
    def upload(_: int) -> float:
        began = time.monotonic()
        person.upload(clip.path)
        return time.monotonic() - began

    with ThreadPoolExecutor(10) as pool:
        seconds = [*pool.map(upload, range(10))]

    assert max(seconds) < 2


def test_a_database_that_dies_costs_no_work(service: Service, person: Person, long_clip: Clip):
    service.start_workers(**QUICK)
    video = person.upload(long_clip.path, plan=ALL)
    _, held = service.hold(video)
    service.processes["database"].kill()
    refused = person.client.get(f"/videos/{video['id']}")
    service.begin("database", service.database.part)
    for decoder in held:
        decoder.resume()
    video = person.wait_for(video, "COMPLETED")

    assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE")
    assert is_complete(person, video, long_clip)


def test_a_frozen_database_is_told_and_survived(service: Service, person: Person):
    server = psutil.Process(service.processes["database"].pid)
    family = [server, *server.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        began = time.monotonic()
        refused = person.client.get("/videos/status")
        seconds = time.monotonic() - began
    finally:
        for process in family:
            process.resume()

    assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE")
    assert seconds < 3.5
    assert person.call("get", "/videos/status", 200)["items"] == []
