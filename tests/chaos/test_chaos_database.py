"""A PostgreSQL that is killed, frozen, full, or behind a bad road."""

import time
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import psutil
import psycopg
import pytest

from tests.chaos.promises import Note, Promises
from tests.chaos.road import Road, ServiceByRoad
from tests.clips import Clip
from tests.end_to_end.service import QUICK, Person, Service, connect
from tests.waiting import wait_until

ALL = '{"mode": "all"}'


def upload_until_taken(person: Person, path: Path, **fields: str) -> None:
    """Send it again as long as it is refused for the moment, as a client does."""

    def is_taken() -> bool:
        status = person.try_upload(path, **fields).status_code
        assert status in (202, 503)
        return status == 202

    wait_until(is_taken, 60)


def is_told(answer: httpx2.Response) -> bool:
    return (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")


def test_a_database_that_dies_costs_no_work(
    service: Service, person: Person, long_clip: Clip, promises: Promises, note: Note
):
    service.start_workers(**QUICK)
    video = person.upload(long_clip.path, plan=ALL)
    _, held = service.hold(video)
    service.processes["database"].kill()
    refused = person.client.get(f"/videos/{video['id']}")
    service.begin_again("database")
    back_at = time.monotonic()
    wait_until(lambda: person.client.get("/videos/status").is_success, 15)
    note("seconds until 503", refused.elapsed.total_seconds())
    note("seconds from its return to the first answer", time.monotonic() - back_at)
    for decoder in held:
        decoder.resume()
    person.wait_for(video, "COMPLETED", within_seconds=120)

    assert is_told(refused)
    promises.check()


@pytest.mark.long
def test_a_database_that_dies_under_load_loses_nothing(
    service: Service, person: Person, clip: Clip, promises: Promises, note: Note
):
    service.start_workers(2)
    with ThreadPoolExecutor(4) as pool:
        uploads = [
            pool.submit(upload_until_taken, person, clip.path, interval=f"{1 + number / 100}") for number in range(60)
        ]
        wait_until(lambda: sum(upload.done() for upload in uploads) >= 20, 60)
        service.processes["database"].kill()
        dead_at = time.monotonic()
        seconds = []
        while time.monotonic() < dead_at + 5:
            answer = person.client.get("/videos/status")
            assert is_told(answer)
            seconds.append(answer.elapsed.total_seconds())
        service.begin_again("database")
        back_at = time.monotonic()
        wait_until(lambda: person.client.get("/videos/status").is_success, 15)
        note("slowest 503 (s)", max(seconds))
        note("seconds from its return to the first answer", time.monotonic() - back_at)
        for upload in uploads:
            upload.result()

    assert max(seconds) <= 3
    promises.check()


@contextmanager
def frozen(service: Service) -> Iterator[None]:
    """All processes of PostgreSQL stand still meanwhile."""
    server = psutil.Process(service.processes["database"].pid)
    family = [server, *server.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


@contextmanager
def blocked(service: ServiceByRoad) -> Iterator[None]:
    """Nothing gets through to PostgreSQL meanwhile."""
    service.roads["database"].block()
    try:
        yield
    finally:
        service.roads["database"].mend()


@contextmanager
def full(service: Service) -> Iterator[None]:
    """All connections that PostgreSQL has are others' meanwhile."""
    with ExitStack() as taken:
        first = taken.enter_context(connect(service.database.environment))
        first.autocommit = True

        def is_ours() -> bool:
            first.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fotograma'")
            with suppress(psycopg.OperationalError):
                while True:
                    taken.enter_context(connect(service.database.environment))
            seen = first.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = 'fotograma'").fetchall()
            return not seen

        wait_until(is_ours, 20)
        yield


def test_a_frozen_database_is_told_and_survived(service: Service, person: Person):
    with frozen(service):
        refused = person.client.get("/videos/status")

    assert is_told(refused)
    assert refused.elapsed.total_seconds() < 3.5
    assert person.call("get", "/videos/status", 200)["items"] == []


@pytest.mark.long
@pytest.mark.parametrize("how", [frozen, blocked, full])
def test_a_database_that_serves_nobody_holds_nobody_for_long(
    service: ServiceByRoad,
    person: Person,
    long_clip: Clip,
    clip: Clip,
    how: Callable[[ServiceByRoad], AbstractContextManager[None]],
    promises: Promises,
    note: Note,
):
    """For 20 s: twice as long as a lease. What is worked on meanwhile is kept, or done anew by somebody else."""
    service.start_workers(2)
    video = person.upload(long_clip.path, plan=ALL)
    held = "SELECT 1 FROM segments WHERE video_id = %s AND status = 'PROCESSING'"
    wait_until(lambda: service.rows(held, video["id"]), 20)
    api = psutil.Process(service.processes["api"].pid)
    threads = api.num_threads()
    answers: list[httpx2.Response] = []
    with how(service), ThreadPoolExecutor(30) as pool:
        silent_until = time.monotonic() + 20
        while time.monotonic() < silent_until:
            answers += pool.map(lambda _: person.client.get("/videos/status"), range(30))
        threads = api.num_threads() - threads
        live = httpx2.get(f"{service.url}/health/live")
        ready = httpx2.get(f"{service.url}/health/ready")
    back_at = time.monotonic()
    wait_until(lambda: person.client.get("/videos/status").is_success, 15)

    note("refused", len(answers))
    note("slowest 503 (s)", max(answer.elapsed.total_seconds() for answer in answers))
    note("more threads", threads)
    note("seconds from its return to the first answer", time.monotonic() - back_at)
    assert all(is_told(answer) for answer in answers)
    assert max(answer.elapsed.total_seconds() for answer in answers) < 6
    assert (live.status_code, ready.status_code) == (200, 503)
    assert max(live.elapsed.total_seconds(), ready.elapsed.total_seconds()) < 1
    person.wait_for(video, "COMPLETED", within_seconds=180)
    upload_until_taken(person, clip.path)
    promises.check()


def test_a_commit_whose_answer_is_lost_counts(
    service: ServiceByRoad, person: Person, clip: Clip, roads: dict[str, Road], promises: Promises
):
    """PostgreSQL takes its time over the last commit, and the road is cut meanwhile."""
    with connect(service.database.environment) as connection:
        connection.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$"
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER dawdle AFTER UPDATE ON extractions DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW WHEN (NEW.status = 'COMPLETED') EXECUTE FUNCTION dawdle()"
        )
    try:
        (worker,) = service.start_workers(**QUICK)
        video = person.upload(clip.path)
        committing = "SELECT 1 FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'PgSleep'"
        wait_until(lambda: service.rows(committing), 30)
        roads["database"].reset()
        person.wait_for(video, "COMPLETED")
        wait_until(lambda: "lease lost" in worker.output())
    finally:
        with connect(service.database.environment) as connection:
            connection.execute("DROP TRIGGER dawdle ON extractions")
            connection.execute("DROP FUNCTION dawdle")

    promises.check()


@pytest.mark.long
def test_a_road_to_the_database_that_is_cut_again_and_again_loses_nothing(
    service: Service, person: Person, clip: Clip, roads: dict[str, Road], promises: Promises
):
    service.start_workers(2)
    with ThreadPoolExecutor(2) as pool:
        uploads = [
            pool.submit(upload_until_taken, person, clip.path, interval=f"{1 + number / 100}") for number in range(40)
        ]
        while not all(upload.done() for upload in uploads):
            roads["database"].reset()
            futures.wait(uploads, timeout=0.3)
    for upload in uploads:
        upload.result()

    promises.check()
