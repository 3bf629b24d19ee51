"""Workers and decoders that are killed, stopped, frozen and wrong about the time."""

import os
import signal
import time
from typing import Any

import psutil
import pytest

from tests.chaos.promises import Note, Promises
from tests.clips import Clip
from tests.end_to_end.service import QUICK, Person, Service, all_gone, connect, decoders
from tests.waiting import wait_until

ALL = '{"mode": "all"}'

long = pytest.mark.long


def counters_of(service: Service, video: dict[str, Any]) -> tuple[int, int, int]:
    """Crashes, losses and infrastructure failures of all its segments."""
    (sums,) = service.rows(
        "SELECT sum(crashes), sum(losses), sum(infra_failures) FROM segments WHERE video_id = %s", video["id"]
    )
    return sums


@pytest.mark.parametrize(
    "at", [0, pytest.param(0.25, marks=long), pytest.param(0.5, marks=long), pytest.param(0.75, marks=long)]
)
def test_a_killed_worker_is_followed_by_another(
    service: Service, person: Person, long_clip: Clip, at: float, promises: Promises, note: Note
):
    service.start_workers(2)
    video = person.upload(long_clip.path, plan=ALL)
    wait_until(lambda: person.video(video)["progress"]["fraction"] >= at, 60)
    holder, orphans = service.hold(video)
    held = "SELECT id, token FROM segments WHERE worker LIKE %s AND status = 'PROCESSING'"
    lost = dict(service.rows(held, f"%-{holder.pid}"))
    holder.kill()
    killed_at = time.monotonic()

    def are_held_again() -> bool:
        tokens = dict(service.rows("SELECT id, token FROM segments WHERE video_id = %s", video["id"]))
        return all(tokens[segment] > token for segment, token in lost.items())

    wait_until(are_held_again, 30)
    waited_seconds = time.monotonic() - killed_at
    video = person.wait_for(video, "COMPLETED", within_seconds=120)

    note("seconds until another worker went on", waited_seconds)
    assert waited_seconds <= 15
    assert all_gone(orphans)
    assert counters_of(service, video) == (0, len(lost), 0)
    promises.check()


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=long)])
def test_a_killed_decoder_is_tried_once_more(
    service: Service, person: Person, long_clip: Clip, how: signal.Signals, promises: Promises
):
    (worker,) = service.start_workers(**QUICK)
    video = person.upload(long_clip.path, plan=ALL)
    _, held = service.hold(video)
    for decoder in held:
        decoder.send_signal(how)
        decoder.resume()
    video = person.wait_for(video, "COMPLETED", within_seconds=120)

    assert counters_of(service, video) == (len(held), 0, 0)
    assert worker.is_running()
    promises.check()


@long
def test_a_worker_killed_between_archive_and_commit_leaves_one_archive(
    service: Service, person: Person, clip: Clip, promises: Promises, note: Note
):
    """PostgreSQL takes its time over the last commit, in which the worker dies; the archive is there by then."""
    with connect(service.database.environment) as connection:
        connection.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(10); RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER dawdle BEFORE UPDATE ON extractions FOR EACH ROW "
            "WHEN (NEW.status = 'COMPLETED') EXECUTE FUNCTION dawdle()"
        )
    try:
        (worker,) = service.start_workers()
        video = person.upload(clip.path)
        archives = f"results/{video['extraction_id']}/*/*/frames.zip"
        wait_until(lambda: [*service.objects.glob(archives)], 30)
        worker.kill()
        killed_at = time.monotonic()
        left = {*service.objects.glob(archives)}
    finally:
        with connect(service.database.environment) as connection:
            connection.execute("DROP TRIGGER dawdle ON extractions")
            connection.execute("DROP FUNCTION dawdle")
    service.start_workers()
    person.wait_for(video, "COMPLETED")

    note("seconds until COMPLETED", time.monotonic() - killed_at)
    assert len(left) == 1
    promises.check()
    assert not left & {*service.objects.glob(archives)}


def test_a_worker_told_to_stop_hands_its_work_over(
    service: Service, person: Person, long_clip: Clip, promises: Promises, note: Note
):
    service.start_workers(2, **QUICK)
    video = person.upload(long_clip.path, plan=ALL)
    holder, _ = service.hold(video)
    told_at = time.monotonic()
    holder.ask_to_stop()
    resumed = "SELECT 1 FROM segments WHERE video_id = %s AND token > 1 AND status = 'PROCESSING'"
    wait_until(lambda: service.rows(resumed, video["id"]), 15)
    note("seconds until another worker went on", time.monotonic() - told_at)
    wait_until(lambda: not holder.is_running(), 12)
    took_seconds = time.monotonic() - told_at
    video = person.wait_for(video, "COMPLETED", within_seconds=120)

    note("seconds to the end of the worker", took_seconds)
    assert took_seconds <= 10
    assert counters_of(service, video) == (0, 0, 0)
    promises.check()


def test_a_worker_that_slept_changes_nothing_when_it_wakes(
    service: Service, person: Person, long_clip: Clip, promises: Promises, in_full: bool
):
    service.start_workers(2, **({} if in_full else QUICK))
    video = person.upload(long_clip.path, plan=ALL)
    holder, held = service.hold(video)
    sleepers = [psutil.Process(holder.pid), *held]
    sleepers[0].suspend()
    slept_at = time.monotonic()
    done = person.wait_for(video, "COMPLETED", within_seconds=180)
    # In full, as long as a laptop's lid may be closed, rather than as long as it takes the others.
    wait_until(lambda: not in_full or time.monotonic() - slept_at >= 90, 90)
    for sleeper in sleepers:
        sleeper.resume()
    wait_until(lambda: "lease lost" in holder.output(), 20)

    assert person.video(video) == done
    assert holder.is_running()
    promises.check()


@long
def test_a_video_that_kills_its_decoder_each_time_is_given_up_alone(
    service: Service, person: Person, make_person, clip: Clip, long_clip: Clip, promises: Promises
):
    workers = service.start_workers(2, **QUICK, WORKER_THREADS="1")
    other = make_person()
    poison = person.upload(long_clip.path, plan=ALL)
    others = [other.upload(clip.path, interval=str(seconds)) for seconds in (1, 2, 3, 4, 5)]
    held = "SELECT 1 FROM segments WHERE video_id = %s AND worker LIKE %s AND status = 'PROCESSING'"

    def is_dead() -> bool:
        for worker in workers:
            for decoder in decoders(worker):
                # Stopped first: while it stands still, the worker can't go on to somebody else's video.
                decoder.suspend()
                if service.rows(held, poison["id"], f"%-{worker.pid}"):
                    decoder.kill()
                decoder.resume()
        return person.video(poison)["status"] == "FAILED"

    wait_until(is_dead, 60)

    assert person.video(poison)["error"]["code"] == "DECODER_CRASHED"
    assert all(worker.is_running() for worker in workers)
    for video in others:
        other.wait_for(video, "COMPLETED")
    promises.check()


@long
def test_many_sweepers_count_a_loss_once(service: Service, person: Person, long_clip: Clip, promises: Promises):
    service.start_workers(4, **QUICK, WORKER_THREADS="1")
    video = person.upload(long_clip.path, plan=ALL)
    holder, _ = service.hold(video)
    held = "SELECT count(*) FROM segments WHERE worker LIKE %s AND status = 'PROCESSING'"
    ((lost,),) = service.rows(held, f"%-{holder.pid}")
    os.kill(holder.pid, signal.SIGKILL)
    video = person.wait_for(video, "COMPLETED", within_seconds=120)

    assert counters_of(service, video) == (0, lost, 0)
    promises.check()
