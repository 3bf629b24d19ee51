"""Everything is killed at random moments while people go on uploading."""

import os
import random
import time
from pathlib import Path

import pytest

from tests.chaos.havoc import Footprint, Havoc, Uploader
from tests.chaos.promises import Note, Promises
from tests.clips import Clip, draw_clip
from tests.end_to_end.service import Service

pytestmark = [pytest.mark.long, pytest.mark.timeout(4 * 3600)]

PEOPLE = 10
JOBS_A_MINUTE = 20


@pytest.fixture(scope="session")
def some_clips(clips: Path, clip: Clip) -> list[Clip]:
    """A second or a few of work each, one of them in several codings' ways."""
    return [
        clip,
        draw_clip(clips / "larger.mp4", frames=250, size=(640, 360)),
        draw_clip(clips / "other.mkv", frames=100, size=(320, 180), codec="mpeg4"),
    ]


def test_everything_is_killed_at_random(
    service: Service, make_person, some_clips: list[Clip], chance: random.Random, promises: Promises, note: Note
):
    minutes = float(os.environ["FOTOGRAMA_CHAOS"])
    people = [make_person() for _ in range(PEOPLE)]
    service.start_workers(3)
    havoc = Havoc(service, chance)
    uploader = Uploader(people, some_clips, uploads=round(JOBS_A_MINUTE * minutes), seconds=minutes * 60)
    uploader.start()
    kill_at = time.monotonic()
    while uploader.is_alive():
        kill_at = max(kill_at + 5, time.monotonic())
        uploader.join(max(0, kill_at - time.monotonic()))
        if uploader.is_alive():
            havoc.kill_something("worker", "worker", "decoder", "api", "broker", "database")

    note("killed", dict(havoc.killed))
    note("answers (0: connection lost)", dict(uploader.answers))
    assert uploader.failure is None, uploader.failure
    promises.check(within_seconds=300, copies_of_a_mail=2)


@pytest.mark.skipif("FOTOGRAMA_CHAOS_SOAK" not in os.environ, reason="takes hours: just soak MINUTES")
def test_nothing_grows(
    service: Service, make_person, some_clips: list[Clip], chance: random.Random, promises: Promises, note: Note
):
    """Something dies each half minute; the API and one worker live on, and take no more at the end than before."""
    minutes = float(os.environ["FOTOGRAMA_CHAOS_SOAK"])
    people = [make_person() for _ in range(PEOPLE)]
    survivor, *_ = service.start_workers(3)
    api = service.processes["api"]
    havoc = Havoc(service, chance, spared={survivor.pid})
    footprint = Footprint([api.pid, survivor.pid])
    uploader = Uploader(people, some_clips, uploads=round(JOBS_A_MINUTE * minutes), seconds=minutes * 60)
    uploader.start()
    kill_at = time.monotonic() + 30
    while uploader.is_alive():
        footprint.look()
        if time.monotonic() >= kill_at:
            kill_at = time.monotonic() + 30
            havoc.kill_something("worker", "worker", "decoder", "broker", "database")
        uploader.join(2)
    memory, descriptors = footprint.growth()

    note("killed", dict(havoc.killed))
    note("MiB of API and worker", footprint.samples[-1][0])
    note("growth of memory (%)", memory * 100)
    note("growth of descriptors (%)", descriptors * 100)
    assert uploader.failure is None, uploader.failure
    promises.check(within_seconds=300, copies_of_a_mail=2)
    assert memory <= 0.05
    assert descriptors <= 0.05
