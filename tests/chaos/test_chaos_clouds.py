"""A cloud's store on a bad way: errors, silence, answers and uploads that break off, and too much asked of it."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import PostOffice, running_service
from tests.chaos.promises import Note, Promises
from tests.chaos.road import ServiceByRoad
from tests.chaos.test_chaos_storage import failures_of
from tests.clips import Clip
from tests.end_to_end.service import QUICK, Person, Service
from tests.long_clips import make_noisy_clip
from tests.stores.doubles import Double
from tests.stores.faults import Faults
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def faults(stores: Callable[[str], Double]) -> Iterator[Faults]:
    with Faults(stores("moto").port) as faults:
        yield faults


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory,
    post_office: PostOffice,
    stores: Callable[[str], Double],
    faults: Faults,
) -> Iterator[ServiceByRoad]:
    """On an S3, by a way that can fail."""
    double = stores("moto")
    url = double.new_folder()
    by_way = {**double.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{faults.port}", "STORAGE_URL": url}
    with running_service(tmp_path_factory.mktemp("clouds"), post_office, **by_way) as service:
        service.storage = double.open(url)
        yield service


@pytest.fixture(autouse=True)
def the_way_is_good_again(faults: Faults) -> Iterator[None]:
    yield
    mend(faults)
    faults.faults.clear()


def mend(faults: Faults) -> None:
    faults.failing = faults.cut = faults.silent = faults.throttled_until = 0.0
    faults.cut_up = 0.0
    faults.cut_uploads = None
    faults.retry_after_seconds = 1


@pytest.fixture(scope="session")
def large_clip(clips: Path) -> Path:
    """Its frames are more than one part of an archive."""
    return make_noisy_clip(clips / "noise.mp4", seconds=10)


def test_three_requests_of_ten_fail(
    service: Service,
    person: Person,
    clip: Clip,
    faults: Faults,
    in_full: bool,
    promises: Promises,
    note: Note,
):
    """With 500 or 503, before or after they were done; answers break off; in full, some are never answered."""
    service.start_workers(2, **QUICK)
    faults.failing, faults.cut, faults.cut_up = 0.3, 0.1, 0.05
    videos = [person.upload(clip.path, interval=f"{1 + number / 100}") for number in range(30 if in_full else 4)]
    # A request takes 30 s to be given up, for which no person waits.
    faults.silent = 0.02 if in_full else 0
    for video in videos:
        person.wait_for(video, "COMPLETED", within_seconds=400 if in_full else 100)
    note("faults", dict(faults.faults))
    mend(faults)

    assert faults.faults["before"] + faults.faults["after"] > 3 * len(videos)
    note("attempts that failed", failures_of(service, person))
    promises.check()


@pytest.mark.long
def test_an_archive_whose_upload_is_cut_is_never_there(
    service: Service, person: Person, large_clip: Path, faults: Faults, promises: Promises, note: Note
):
    """Its first part arrives; each later one breaks off in its middle, until the way is mended."""
    service.start_workers(**QUICK)
    faults.cut_uploads = re.compile(r"PUT .*frames\.zip\?.*partNumber=[^1]")
    video = person.upload(large_clip, plan='{"mode": "all", "quality": 100}')
    wait_until(lambda: failures_of(service, person), 120)
    held = {key.rpartition("/")[2] for key in service.object_keys() if video["extraction_id"] in key}
    mend(faults)
    done = person.wait_for(video, "COMPLETED", within_seconds=120)

    note("uploads cut", faults.faults["cut upload"])
    assert done["archive_bytes"] > 2**24
    assert held == {"entries", "rows", "thumbnails"}
    promises.check()


@pytest.mark.long
def test_a_store_that_throttles_is_waited_for(
    service: Service, person: Person, clip: Clip, faults: Faults, promises: Promises, note: Note
):
    """Nothing fails: neither the upload that comes meanwhile, nor an attempt."""
    service.start_workers(**QUICK)
    faults.retry_after_seconds = 4
    for status in (429, 503):
        faults.throttled_status = status
        faults.throttled_until = time.monotonic() + 4
        video = person.upload(clip.path, interval=f"{status / 400}")
        faults.throttled_until = time.monotonic() + 4
        person.wait_for(video, "COMPLETED")

    note("requests refused", faults.faults["throttled"])
    assert faults.faults["throttled"] > 4
    assert failures_of(service, person) == 0
    promises.check()


@pytest.mark.long
def test_a_store_that_wants_no_request_for_long_costs_no_attempt(
    service: Service, person: Person, clip: Clip, faults: Faults, promises: Promises, note: Note
):
    """For 40 s it answers each with 503, and to come back in 20 s."""
    service.start_workers(2, **QUICK)
    faults.throttled_status, faults.retry_after_seconds = 503, 20
    videos = [person.upload(clip.path, interval=f"{1 + number / 10}") for number in range(4)]
    faults.throttled_until = time.monotonic() + 40
    began = time.monotonic()
    for video in videos:
        person.wait_for(video, "COMPLETED", within_seconds=120)

    note("seconds", time.monotonic() - began)
    note("requests refused", faults.faults["throttled"])
    assert time.monotonic() - began > 40
    assert failures_of(service, person) == 0
    promises.check()
