"""Storage that fails now and then, or breaks off in the middle of an object."""

import resource

import psutil
import pytest

from tests.chaos.promises import Note, Promises
from tests.clips import Clip
from tests.end_to_end.service import QUICK, Person, Service
from tests.waiting import wait_until

ALL = '{"mode": "all"}'


def failures_of(service: Service, person: Person) -> int:
    """How often a segment of theirs was tried again because of the storage."""
    ((failures,),) = service.rows(
        "SELECT sum(infra_failures) FROM segments WHERE user_id = (SELECT id FROM users WHERE email = %s)", person.email
    )
    return failures or 0


def start_unreliable_worker(service: Service, **failures: str) -> None:
    url = service.objects.as_uri().replace("file:", "unreliable:")
    worker = service.launch_worker("tests.chaos.unreliable_worker", **QUICK, STORAGE_URL=url, **failures)
    worker.wait_until_healthy()


@pytest.mark.long
def test_storage_that_fails_now_and_then_is_tried_again(
    service: Service, person: Person, clip: Clip, promises: Promises, note: Note
):
    """Each call fails with 4 %, and so about a third of the attempts, which take a dozen calls."""
    for _ in range(2):
        start_unreliable_worker(service, STORAGE_FAILURES="0.04")
    for number in range(40):
        person.upload(clip.path, interval=f"{1 + number / 100}")
    wait_until(lambda: all(video["status"] == "COMPLETED" for video in person.videos()), 200)

    note("attempts that failed", failures_of(service, person))
    assert failures_of(service, person)
    promises.check()


def test_storage_that_removes_nothing_costs_no_archive(
    service: Service, person: Person, clip: Clip, promises: Promises
):
    start_unreliable_worker(service, STORAGE_FAILURES="0", DELETE_FAILURES="1")
    person.wait_for(person.upload(clip.path), "COMPLETED")

    promises.check()


def test_an_archive_cut_off_in_the_middle_is_never_there(
    service: Service, person: Person, long_clip: Clip, promises: Promises, note: Note
):
    """The worker may write no file past half of the archive: storage ends there, as one that is full does."""
    (worker,) = service.start_workers(**QUICK)
    _, size_bytes, _ = promises.references.of(long_clip.path, {"mode": "all"})
    process = psutil.Process(worker.pid)
    process.rlimit(psutil.RLIMIT_FSIZE, (size_bytes // 2, resource.RLIM_INFINITY))
    video = person.upload(long_clip.path, plan=ALL)
    wait_until(lambda: failures_of(service, person) >= 2, 60)
    written = {path.name for path in service.objects_of(video)}
    process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    person.wait_for(video, "COMPLETED", within_seconds=120)

    note("attempts cut off", failures_of(service, person))
    assert written == {"source"}
    assert worker.is_running()
    promises.check()
