"""Users who change their minds at any moment."""

import pytest

from tests.chaos.promises import Promises
from tests.clips import Clip
from tests.end_to_end.service import Person, Service, all_gone
from tests.waiting import wait_until

ALL = '{"mode": "all"}'


def cancel(person: Person, extraction_id: str, status: int) -> None:
    person.call("post", f"/extractions/{extraction_id}/cancel", status)


def test_what_is_cancelled_stops_and_what_is_done_stays(
    service: Service, person: Person, clip: Clip, long_clip: Clip, promises: Promises
):
    queued = person.upload(clip.path)
    cancel(person, queued["extraction_id"], 202)
    (worker,) = service.start_workers()
    running = person.upload(long_clip.path, plan=ALL)
    _, held = service.hold(running)
    cancel(person, running["extraction_id"], 202)
    wait_until(lambda: all_gone(held), 10)
    done = person.wait_for(person.upload(clip.path, interval="2"), "COMPLETED")
    cancel(person, done["extraction_id"], 409)

    assert [person.video(video)["status"] for video in (queued, running, done)] == [
        "CANCELLED",
        "CANCELLED",
        "COMPLETED",
    ]
    assert service.rows("SELECT token FROM segments WHERE video_id = %s", queued["id"]) == [(0,)]
    assert worker.is_running()
    promises.check()
    assert person.mails() == ["completed"]


def test_a_video_deleted_in_the_middle_leaves_nothing(
    service: Service, person: Person, long_clip: Clip, promises: Promises
):
    (worker,) = service.start_workers()
    video = person.upload(long_clip.path, plan=ALL)
    _, held = service.hold(video)
    before = service.objects_of(video)
    person.delete(video)
    wait_until(lambda: all_gone(held), 10)
    wait_until(lambda: not [path for path in before if path.exists()], 15)

    assert person.mails() == []
    assert worker.is_running()
    promises.check()


@pytest.mark.long
def test_users_who_change_their_minds_at_any_moment(
    service: Service, make_person, clip: Clip, chance, promises: Promises
):
    service.start_workers(2)
    person, other = make_person(), make_person()
    for number in range(60):
        video = person.upload(clip.path, interval=f"{1 + number / 100}")
        other.upload(clip.path, interval=f"{1 + number / 100}")
        chosen = chance.choice([*person.acknowledged])
        what = chance.choice(["nothing", "cancel", "delete", "again"])
        if what == "cancel":
            answer = person.client.post(f"/extractions/{video['extraction_id']}/cancel")
            assert answer.status_code in (202, 409)
        elif what == "delete":
            person.delete({"id": chosen})
        elif what == "again":
            plan = {"mode": "count", "n": number + 1}
            person.call("post", f"/videos/{chosen}/extractions", 202, json=plan)

    promises.check()
