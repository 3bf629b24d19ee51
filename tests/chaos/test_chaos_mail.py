"""Mail servers that are away, refuse or fall silent, and senders that die."""

import time

import pytest

from tests.chaos.conftest import PostOffice
from tests.chaos.promises import Note, Promises
from tests.chaos.road import Road
from tests.clips import Clip
from tests.end_to_end.service import Person, Service
from tests.waiting import wait_until

pytestmark = pytest.mark.long


def state_of_mails(service: Service, person: Person) -> list[tuple[str, int]]:
    return service.rows("SELECT status, attempts FROM emails WHERE recipient = %s", person.email)


def test_a_worker_killed_before_the_mail_is_followed_by_another_sender(
    service: Service, person: Person, clip: Clip, roads: dict[str, Road], promises: Promises, note: Note
):
    (worker,) = service.start_workers()
    roads["mail"].block()
    video = person.upload(clip.path)
    person.wait_for(video, "COMPLETED")
    wait_until(lambda: state_of_mails(service, person) == [("PENDING", 1)])
    worker.kill()
    killed_at = time.monotonic()
    roads["mail"].reset()
    roads["mail"].mend()
    service.start_workers()
    wait_until(person.mails, 60)

    note("seconds from the death of the sender to the mail", time.monotonic() - killed_at)
    promises.check()


def test_a_worker_killed_after_the_servers_yes_causes_one_more_of_the_same_mail(
    service: Service, person: Person, clip: Clip, roads: dict[str, Road], promises: Promises, note: Note
):
    (worker,) = service.start_workers()
    roads["mail"].delay_seconds = 0.5
    video = person.upload(clip.path)
    person.wait_for(video, "COMPLETED")
    wait_until(person.mails)
    # The server's 250 is on its way.
    worker.kill()
    roads["mail"].reset()
    roads["mail"].mend()
    service.start_workers()
    promises.check(copies_of_a_mail=2)

    note("mails", len(person.mails()))
    assert len({message["Message-ID"] for message in service.inbox.to(person.email)}) == 1


def test_frames_come_without_mail_and_mail_comes_late(
    service: Service, person: Person, clip: Clip, roads: dict[str, Road], promises: Promises, note: Note
):
    service.start_workers()
    roads["mail"].cut()
    videos = [person.upload(clip.path, interval=str(seconds)) for seconds in (1, 2, 3)]
    for video in videos:
        assert person.wait_for(video, "COMPLETED")["frames"]
    wait_until(lambda: sum(attempts for _, attempts in state_of_mails(service, person)) >= 4, 60)
    roads["mail"].mend()
    back_at = time.monotonic()
    wait_until(lambda: len(person.mails()) == 3, 200)

    note("seconds from its return to the last mail", time.monotonic() - back_at)
    promises.check()


@pytest.mark.parametrize(
    ("answer", "comes"), [("451 come back later", True), ("550 there is nobody of that name", False)]
)
def test_a_mail_that_is_refused(
    service: Service, person: Person, clip: Clip, post_office: PostOffice, answer: str, comes: bool, promises: Promises
):
    service.start_workers()
    post_office.answer = answer
    try:
        person.wait_for(person.upload(clip.path), "COMPLETED")
        wait_until(lambda: state_of_mails(service, person)[0][1] == (2 if comes else 1), 60)
        wait_until(lambda: comes or state_of_mails(service, person) == [("FAILED", 1)], 20)
    finally:
        post_office.answer = None

    promises.check()
    assert person.mails() == (["completed"] if comes else [])
