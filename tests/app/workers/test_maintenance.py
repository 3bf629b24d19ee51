"""The sweep finds what was lost and rings for it, no more often than there is work."""

import json
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import func, text, update

from app import task_queue
from app.accounts.models import User
from app.database import open_session
from app.extractions import lifecycle, segment_lifecycle, work_lifecycle
from app.extractions.claims import Claim, Range
from app.extractions.models import Segment, Status
from app.settings import get_settings
from app.storage import Storage
from app.videos.models import Video
from app.workers import maintenance
from tests.clips import Clip

SEGMENT, EMAIL = task_queue.SEGMENT_TASK, task_queue.EMAIL_TASK
LAST = "fotograma.last"


def held_by_the_broker() -> Counter[str]:
    with task_queue.get_celery().connection_for_read() as connection:
        client = connection.default_channel.client
        messages = [message for queue in (SEGMENT, EMAIL) for message in client.lrange(queue, 0, -1)]
    return Counter(json.loads(message)["headers"]["task"] for message in messages)


@pytest.fixture
def take_rings(wait_until) -> Callable[[], Counter[str]]:
    """Which rings there are, once the bell has rung all that it was asked to; they are taken."""

    def take() -> Counter[str]:
        task_queue.ring(LAST)
        wait_until(lambda: held_by_the_broker()[LAST])
        rings = held_by_the_broker()
        with task_queue.get_celery().connection_for_write() as connection:
            connection.default_channel.client.delete(SEGMENT, EMAIL)
        del rings[LAST]
        return rings

    return take


@pytest.fixture(autouse=True)
def nobody_rings(quiet: None, take_rings) -> Iterator[None]:  # noqa: ARG001
    """Rings of other tests are taken before and after."""
    take_rings()
    yield
    take_rings()


def claim_one() -> Claim:
    with open_session() as session:
        claim = segment_lifecycle.claim_segment(session, worker="test")
    assert claim is not None
    return claim


def let_leases_run_out() -> None:
    with open_session() as session:
        past = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 1)
        running = update(Segment).where(Segment.status == Status.PROCESSING)
        session.execute(running.values(lease_expires_at=past))


def test_nothing_to_do_rings_nobody(take_rings):
    maintenance.sweep()

    assert take_rings() == Counter()


def test_an_upload_rings_once(submit, clip: Clip, take_rings):
    submit(clip.path)

    assert take_rings() == Counter({SEGMENT: 1})


def test_what_nobody_rang_for_is_rung_for(submit, clip: Clip, take_rings):
    for _ in range(3):
        submit(clip.path)
    take_rings()
    maintenance.sweep()

    assert take_rings() == Counter({SEGMENT: 3})


def test_rings_that_still_wait_are_not_doubled(submit, clip: Clip, wait_until, take_rings):
    for _ in range(3):
        submit(clip.path)
    wait_until(lambda: held_by_the_broker()[SEGMENT] == 3)
    for _ in range(3):
        maintenance.sweep()

    assert take_rings() == Counter({SEGMENT: 3})


def test_nobody_is_rung_for_what_a_limit_holds_back(submit, make_owner, clip: Clip, take_rings):
    most = get_settings().user_extractions_running
    for _ in range(most + 2):
        submit(clip.path)
    other: User = make_owner()
    submit(clip.path, by=other)
    for _ in range(2):
        claim_one()
    take_rings()
    maintenance.sweep()

    # One of the two claims was the other user's, whose turn came first after ours.
    assert take_rings() == Counter({SEGMENT: most - 1})


def test_the_parts_of_a_running_extraction_are_all_rung_for(submit, clip: Clip, take_rings):
    parts = 2 * get_settings().user_extractions_running
    submit(clip.path)
    with open_session() as session:
        ranges = [Range(number, number + 1) for number in range(parts)]
        claim = claim_one()
        work_lifecycle.cut(session, claim, media={}, packet_index=b"", ranges=ranges, frames_total=parts)
    take_rings()
    maintenance.sweep()

    assert take_rings() == Counter({SEGMENT: parts - 1})


def test_a_silent_worker_loses_its_segment_and_another_is_called(submit, clip: Clip, take_rings):
    submit(clip.path)
    lost = claim_one()
    take_rings()
    let_leases_run_out()
    maintenance.sweep()
    rings = take_rings()
    again = claim_one()

    assert rings == Counter({SEGMENT: 1})
    assert (again.segment_id, again.token) == (lost.segment_id, lost.token + 1)


def test_owed_mail_is_rung_for_until_it_is_sent(submit, clip: Clip, take_rings):
    submit(clip.path)
    with open_session() as session:
        segment_lifecycle.fail(session, claim_one(), code="NOT_A_VIDEO", message="none")
    at_once = take_rings()
    maintenance.sweep()

    assert at_once == Counter({SEGMENT: 1, EMAIL: 1})
    assert take_rings() == Counter({EMAIL: 1})


def test_deleted_videos_leave_nothing(submit, clip: Clip, storage: Storage):
    asked = submit(clip.path)
    with open_session() as session:
        lifecycle.withdraw(session, asked.video)
    for _ in range(2):
        maintenance.sweep()

    assert [*storage.list(f"videos/{asked.video.id}")] == []
    with open_session() as session:
        assert session.get(Video, asked.video.id) is None


def test_one_sweeps_at_a_time(submit, clip: Clip, take_rings):
    submit(clip.path)
    take_rings()
    with open_session() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": maintenance.SWEEP_LOCK})
        maintenance.sweep()
        meanwhile = take_rings()
    maintenance.sweep()

    assert meanwhile == Counter()
    assert take_rings() == Counter({SEGMENT: 1})
