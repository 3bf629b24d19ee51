"""More uploads than can be worked off."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.chaos.conftest import PostOffice, running_service
from tests.chaos.promises import Note, Promises
from tests.clips import Clip
from tests.end_to_end.service import Person, Service
from tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

MOST_WAITING = 250


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, post_office: PostOffice) -> Iterator[Service]:
    """With a limit that is soon reached."""
    folder = tmp_path_factory.mktemp("crowded")
    with running_service(folder, post_office, USER_EXTRACTIONS_WAITING=str(MOST_WAITING)) as service:
        yield service


def test_a_backlog_is_refused_past_its_limit_and_shared_fairly(
    service: Service, make_person: Callable[[], Person], clip: Clip, promises: Promises, note: Note
):
    first, second = make_person(), make_person()

    def upload(person: Person, number: int) -> httpx2.Response:
        return person.try_upload(clip.path, interval=f"{1 + number / 1000}")

    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda number: upload(first, number), range(MOST_WAITING + 20))]
        service.start_workers(2)
        began = time.monotonic()
        answers += pool.map(lambda number: upload(second, number), range(MOST_WAITING))
    taken = [answer for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code != 202]
    seconds = sorted(answer.elapsed.total_seconds() for answer in taken)
    wait_until(lambda: all(video["status"] == "COMPLETED" for video in first.videos() + second.videos()), 600)
    note("uploads", len(taken))
    note("upload p95 (s)", seconds[len(seconds) * 95 // 100])
    note("seconds for all", time.monotonic() - began)
    order = service.rows(
        "SELECT email FROM extractions JOIN users ON users.id = user_id WHERE email IN (%s, %s) ORDER BY completed_at",
        first.email,
        second.email,
    )

    assert {answer.status_code for answer in refused} == {429}
    assert len(refused) == 20
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    # Who came second has the half of each turn, though the other's 250 had waited for longer.
    ours = [place for place, (email,) in enumerate(order) if email == second.email]
    assert ours[49] <= 150
    promises.check()
