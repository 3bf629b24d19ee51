"""Clocks that are an hour off: libfaketime gives them to one process alone."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from app.local_stack.processes import PROJECT, Part, free_port
from tests.chaos.promises import Promises
from tests.chaos.test_chaos_workers import counters_of
from tests.clips import Clip
from tests.conftest import PASSWORD, needs
from tests.end_to_end.service import QUICK, START_SECONDS, Person, Service, answers
from tests.stores.doubles import Double

pytestmark = pytest.mark.long

HOUR = 3600
LINK_SECONDS = 12 * HOUR


@dataclass(frozen=True)
class Clock:
    """What a process takes the time from."""

    file: Path

    def set(self, ahead_seconds: float) -> None:
        """So far from the real one, from now on."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{ahead_seconds:+.0f}\n")
        new.replace(self.file)

    @property
    def environment(self) -> dict[str, str]:
        """By which a process is given it."""
        libraries = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
        needs(libraries, "libfaketime")
        return {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    clock = Clock(tmp_path / "clock")
    clock.set(0)
    return clock


@pytest.mark.parametrize("hours", [1, -1])
def test_a_worker_with_a_wrong_clock_harms_nothing(
    service: Service, person: Person, long_clip: Clip, hours: int, clock: Clock, promises: Promises
):
    """Leases run by the database's clock: a worker an hour off neither takes what others hold nor loses its own."""
    clock.set(hours * HOUR)
    service.start_workers()
    service.start_workers(**clock.environment)
    videos = [person.upload(long_clip.path, plan=f'{{"mode": "every_nth", "n": {nth}}}') for nth in (1, 2, 3, 4)]
    done = [person.wait_for(video, "COMPLETED", within_seconds=200) for video in videos]

    assert [counters_of(service, video) for video in done] == [(0, 0, 0)] * 4
    promises.check()


def test_a_clock_that_jumps_in_the_middle_costs_no_lease(
    service: Service, person: Person, long_clip: Clip, clock: Clock, promises: Promises
):
    """Forth by an hour and back by two, while segments are held by leases of two seconds."""
    service.start_workers(**QUICK)
    service.start_workers(**QUICK, **clock.environment)
    videos = [person.upload(long_clip.path, plan=f'{{"mode": "every_nth", "n": {nth}}}') for nth in (1, 2, 3)]
    for video, hours in zip(videos, (1, -1, 0), strict=True):
        clock.set(hours * HOUR)
        person.wait_for(video, "COMPLETED", within_seconds=200)
    tokens = service.rows(
        "SELECT DISTINCT token FROM segments WHERE user_id IN (SELECT id FROM users WHERE email = %s)", person.email
    )

    assert [counters_of(service, video) for video in videos] == [(0, 0, 0)] * 3
    assert tokens == [(1,)]
    promises.check()


@pytest.mark.parametrize("hours", [1, -1])
def test_a_link_ends_when_it_says_also_where_the_clock_is_wrong(
    service: Service, person: Person, clip: Clip, hours: int, clock: Clock
):
    """An API an hour off gives a link that ends an hour off, tells that moment truly, and keeps to it."""
    service.start_workers(**QUICK)
    video = person.wait_for(person.upload(clip.path), "COMPLETED")
    clock.set(hours * HOUR)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    is_live = f"{url}/health/live"
    part = Part(
        "API",
        f"uvicorn main:app --port {port}".split(),
        lambda _: answers(is_live),
        {**service.environment, **clock.environment},
        healthy_within_seconds=START_SECONDS,
    )
    wrong = service.begin("wrong api", part)
    try:
        signed_in = httpx2.post(f"{url}/auth/token", data={"username": person.email, "password": PASSWORD}).json()
        asked = {"Authorization": f"Bearer {signed_in['access_token']}"}
        link = httpx2.get(f"{url}/videos/{video['id']}/download-url", headers=asked).json()
        ends_at = int(parse_qs(urlsplit(link["url"]).query)["expires"][0])
        there = link["url"].replace(service.url, url)
        found = []
        for ahead_seconds in (-60, 60):
            clock.set(ends_at + ahead_seconds - time.time())
            found.append(httpx2.get(there))
    finally:
        service.processes.pop("wrong api")
        wrong.kill()

    assert abs(ends_at - time.time() - LINK_SECONDS - hours * HOUR) < 120
    assert datetime.fromisoformat(link["expires_at"]).timestamp() == ends_at
    assert httpx2.get(link["url"]).status_code == 200
    assert [answer.status_code for answer in found] == [200, 410]
    assert found[1].json()["code"] == "LINK_EXPIRED"


@pytest.mark.parametrize("hours", [1, -1])
def test_a_store_that_checks_the_time_is_told_of_at_the_start(
    stores: Callable[[str], Double], hours: int, clock: Clock
):
    double = stores("google")
    environment = {
        **os.environ,
        **double.environment,
        "STORAGE_URL": double.new_folder(),
        "SECRET_KEY": "a key that only this test knows of",
    }
    words = [sys.executable, "-c", "from app.storage import prove_storage; prove_storage()"]
    ended = []
    for ahead_seconds in (0, hours * HOUR):
        clock.set(ahead_seconds)
        ended.append(
            subprocess.run(words, env={**environment, **clock.environment}, cwd=PROJECT, capture_output=True, text=True)
        )

    assert [one.returncode for one in ended] == [0, 1]
    assert "lets us not write an object" in ended[1].stderr
