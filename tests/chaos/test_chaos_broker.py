"""A broker that is away, frozen, forgetful, flapping, or says everything many times."""

import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import redis

from app import task_queue
from tests.chaos.promises import Note, Promises
from tests.chaos.road import Road
from tests.clips import Clip
from tests.end_to_end.service import QUICK, Person, Service
from tests.waiting import wait_until


def upload_seconds(person: Person, clip: Clip, number: int) -> float:
    """How long an upload takes; each number asks for other frames."""
    began = time.monotonic()
    person.upload(clip.path, interval=f"{1 + number / 100}")
    return time.monotonic() - began


def all_done(person: Person) -> bool:
    return all(video["status"] == "COMPLETED" for video in person.videos())


def test_a_broker_that_is_away_costs_no_upload(
    service: Service, person: Person, clip: Clip, promises: Promises, note: Note, in_full: bool
):
    service.start_workers(**QUICK)
    service.processes["broker"].stop()
    seconds = [upload_seconds(person, clip, number) for number in range(20 if in_full else 3)]
    service.begin_again("broker")
    back_at = time.monotonic()
    wait_until(lambda: all_done(person), 60)

    note("slowest upload (s)", max(seconds))
    note("seconds from its return to the last archive", time.monotonic() - back_at)
    assert max(seconds) < 1.5
    promises.check()


def test_a_frozen_broker_holds_no_upload_up(
    service: Service, person: Person, clip: Clip, promises: Promises, note: Note, in_full: bool
):
    uploads = 50 if in_full else 5
    api = psutil.Process(service.processes["api"].pid)

    def slowest_of_many(numbers: range) -> float:
        with ThreadPoolExecutor(len(numbers)) as pool:
            return max(pool.map(lambda number: upload_seconds(person, clip, number), numbers))

    usual_seconds, usual_threads = slowest_of_many(range(uploads)), api.num_threads()
    broker = psutil.Process(service.processes["broker"].pid)
    broker.suspend()
    try:
        seconds = slowest_of_many(range(uploads, 2 * uploads))
        more_threads = api.num_threads() - usual_threads
    finally:
        broker.resume()

    note("uploads at once", uploads)
    note("slowest of them with the broker (s)", usual_seconds)
    note("and without (s)", seconds)
    note("more threads", more_threads)
    assert more_threads <= 5
    assert seconds < usual_seconds + 1.5
    promises.check()


@pytest.mark.long
def test_a_broker_that_forgets_everything_costs_no_work(
    service: Service, person: Person, clip: Clip, promises: Promises, note: Note
):
    for number in range(100):
        upload_seconds(person, clip, number)
    with redis.Redis.from_url(service.broker.environment["REDIS_URL"]) as client:
        rings = client.llen(task_queue.SEGMENT_TASK)
        client.flushall()
    began = time.monotonic()
    service.start_workers(2)
    wait_until(lambda: all_done(person), 200)

    note("rings forgotten", rings)
    note("seconds for 100 extractions", time.monotonic() - began)
    assert rings
    promises.check()
    assert (
        service.rows(
            "SELECT 1 FROM segments WHERE user_id = (SELECT id FROM users WHERE email = %s) AND losses > 0",
            person.email,
        )
        == []
    )


@pytest.mark.long
def test_a_broker_that_dies_again_and_again_leaves_no_worker_stuck(
    service: Service, person: Person, clip: Clip, promises: Promises, note: Note
):
    service.start_workers(2)
    number = 0
    for _ in range(5):
        service.processes["broker"].kill()
        again_at = time.monotonic() + 10
        for _ in range(10):
            upload_seconds(person, clip, number)
            number += 1
        wait_until(lambda until=again_at: time.monotonic() > until, 15)
        service.begin_again("broker")
    back_at = time.monotonic()
    ended = "SELECT count(*) FROM extractions WHERE status = 'COMPLETED'"
    before = service.rows(ended)
    wait_until(lambda: service.rows(ended) > before or all_done(person), 60)
    note("uploads", number)
    note("seconds from its last return to the next archive", time.monotonic() - back_at)
    wait_until(lambda: all_done(person), 300)
    note("seconds from its last return to the last archive", time.monotonic() - back_at)
    for worker in service.workers[:]:
        # Each by itself takes work again.
        others = [psutil.Process(other.pid) for other in service.workers if other is not worker]
        for other in others:
            other.suspend()
        person.wait_for(person.upload(clip.path, interval=f"{2 + number / 1000}"), "COMPLETED")
        number += 1
        for other in others:
            other.resume()

    promises.check()


@pytest.mark.long
def test_a_broker_that_comes_back_leaves_no_connection_open(
    service: Service, person: Person, clip: Clip, promises: Promises, note: Note
):
    worker, *_ = service.start_workers(1)
    descriptors: list[int] = []
    for number in range(8):
        service.processes["broker"].kill()
        service.begin_again("broker")
        person.wait_for(person.upload(clip.path, interval=f"{2 + number / 1000}"), "COMPLETED")
        descriptors.append(psutil.Process(worker.pid).num_fds())

    note("descriptors of the worker", descriptors)
    # The first time it opens what it did not need before.
    wait_until(lambda: psutil.Process(worker.pid).num_fds() <= descriptors[1] + 4, 30)
    promises.check()


def test_a_ring_that_comes_ten_times_is_answered_once(service: Service, person: Person, clip: Clip, promises: Promises):
    video = person.upload(clip.path)
    with redis.Redis.from_url(service.broker.environment["REDIS_URL"]) as client:
        (ring, *_) = wait_until(lambda: client.lrange(task_queue.SEGMENT_TASK, 0, -1))
        client.lpush(task_queue.SEGMENT_TASK, *[ring] * 10)
    service.start_workers(2, **QUICK)
    person.wait_for(video, "COMPLETED")
    with redis.Redis.from_url(service.broker.environment["REDIS_URL"]) as client:
        wait_until(lambda: not client.llen(task_queue.SEGMENT_TASK))

    assert service.rows("SELECT step, token FROM segments WHERE video_id = %s ORDER BY number", video["id"]) == [
        ("FRAMES", 1),
        ("JOIN", 1),
    ]
    promises.check()


@pytest.mark.long
def test_a_slow_road_to_the_broker_slows_no_upload(
    service: Service, person: Person, clip: Clip, roads: dict[str, Road], promises: Promises, note: Note
):
    service.start_workers(**QUICK)
    roads["broker"].delay_seconds = 1.0
    seconds = [upload_seconds(person, clip, number) for number in range(10)]
    roads["broker"].reset()
    roads["broker"].block()
    seconds += [upload_seconds(person, clip, number) for number in range(10, 20)]
    roads["broker"].mend()

    note("slowest upload (s)", max(seconds))
    assert max(seconds) < 1.5
    promises.check()
