"""Twenty who race for what is left get exactly that much (S45)."""

import datetime
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import update

from app.accounts.errors import TooManyUploads
from app.accounts.models import User
from app.accounts.quotas import quotas_of
from app.database import open_session
from app.errors import ServiceError
from app.extractions import admission, lifecycle, queries, turns
from app.extractions.claims import Claim
from app.extractions.errors import TooManyWaiting
from app.extractions.usage import Usage, read_usage
from app.settings import get_settings
from app.videos.errors import NoRoomLeft, TooManyVideos
from app.videos.models import Upload
from fotograma.plan import All, Plan
from tests.app.extractions.holding import claim, fail

pytestmark = pytest.mark.usefixtures("quiet")

RACERS = 20
PLAN = Plan(All())


@pytest.fixture
def allow(user: User) -> Callable[..., User]:
    """`allow(videos=3)`: the user may have so much, and has nothing yet."""

    def allow(**quotas: int) -> User:
        with open_session() as session:
            session.execute(update(User).where(User.id == user.id).values(quotas=quotas))
        return user

    return allow


def race(step: Callable[[int], None]) -> list[str]:
    """What became of each of twenty at once."""
    barrier = Barrier(RACERS)

    def run(number: int) -> str:
        barrier.wait()
        try:
            step(number)
        except ServiceError as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(RACERS) as crowd:
        return list(crowd.map(run, range(RACERS)))


def usage_of(user: User) -> Usage:
    with open_session() as session:
        return read_usage(session, session.get_one(User, user.id))


def upload_whole(user: User, size_bytes: int, *, declared: bool = True) -> None:
    """As `/videos/upload` does it, but for the bytes."""
    with open_session() as session:
        upload, room = admission.open_upload(session, user_id=user.id, size_bytes=size_bytes if declared else None)
        if size_bytes > room:
            raise NoRoomLeft
    with open_session() as session:
        admission.admit(session, upload, filename="a.mp4", size_bytes=size_bytes, sha256="0", plan=PLAN)


def upload_in_parts(user: User, size_bytes: int) -> None:
    with open_session() as session:
        admission.begin_upload(
            session, user_id=user.id, filename="a.mp4", size_bytes=size_bytes, metadata_header="", plan=PLAN
        )


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_bytes(allow, declared: bool) -> None:
    user = allow(stored_bytes=5_500)

    def step(number: int) -> None:
        if number % 2:
            upload_in_parts(user, 1000)
        else:
            upload_whole(user, 1000, declared=declared)

    outcomes = race(step)

    done = outcomes.count("done")
    assert set(outcomes) <= {"done", NoRoomLeft.code}
    assert usage_of(user).stored_bytes == done * 1000 <= quotas_of(user).stored_bytes
    # What says not how long it is keeps all that is left from the others.
    assert done == 5 if declared else 1 <= done <= 5


def test_videos(allow) -> None:
    user = allow(videos=7)

    outcomes = race(lambda number: upload_in_parts(user, 10) if number % 2 else upload_whole(user, 10))

    assert sorted(outcomes) == [TooManyVideos.code] * 13 + ["done"] * 7


def test_uploads_a_day(allow) -> None:
    user = allow(uploads_a_day=6)

    outcomes = race(lambda number: upload_in_parts(user, 10) if number % 2 else upload_whole(user, 10))

    assert sorted(outcomes) == [TooManyUploads.code] * 14 + ["done"] * 6
    assert usage_of(user).uploads_today == 6


def test_waiting_extractions(allow) -> None:
    user = allow(extractions_waiting=4)
    with open_session() as session:
        upload, _ = admission.open_upload(session, user_id=user.id, size_bytes=10)
    with open_session() as session:
        state = admission.admit(session, upload, filename="a.mp4", size_bytes=10, sha256="0", plan=None)

    def step(_: int) -> None:
        with open_session() as session:
            lifecycle.request_extraction(session, state.video, plan=PLAN)

    outcomes = race(step)

    assert sorted(outcomes) == [TooManyWaiting.code] * 16 + ["done"] * 4
    assert usage_of(user).extractions_waiting == 4


def test_extractions_at_once(allow, ask) -> None:
    user = allow(extractions_running=3)
    asked = [ask(user) for _ in range(RACERS)]
    held: list[Claim | None] = []

    race(lambda _: held.append(claim()))
    # Of racers for one row all but one may have come back empty.
    while (late := claim()) is not None:
        held.append(late)
    running = [one for one in held if one is not None]
    with open_session() as session:
        for one in running:
            lifecycle.started(session, one.extraction_id)
    usage = usage_of(user)
    with open_session() as session:
        states = [queries.extraction_state(session, one.extraction_id, user_id=user.id) for one in asked]
    statuses = Counter(state.extraction.status for state in states)
    fail(running[0], "NOT_A_VIDEO")

    assert len(running) == 3
    assert (usage.extractions_running, usage.extractions_waiting, usage.quotas.extractions_running) == (3, 17, 3)
    assert statuses == {"PROCESSING": 3, "PENDING": 17}
    assert (claim() is None, claim() is None) == (False, True)


def test_who_is_allowed_more_at_once_gets_it_and_the_bell_knows(allow, ask, make_owner) -> None:
    usual = get_settings().user_extractions_running
    user, other = allow(extractions_running=usual + 2), make_owner()
    for one in (user, other):
        for _ in range(usual + 3):
            ask(one)
    with open_session() as session:
        rung_for = turns.claimable(session)
    held = []
    while (one := claim()) is not None:
        held.append(one.user_id)

    assert rung_for == len(held)
    assert Counter(held) == {user.id: usual + 2, other.id: usual}


def test_room_of_an_upload_that_fell_silent_is_given_back(allow) -> None:
    user = allow(stored_bytes=1000)
    with open_session() as session:
        upload, _ = admission.open_upload(session, user_id=user.id, size_bytes=1000)

    with pytest.raises(NoRoomLeft):
        upload_in_parts(user, 1000)
    with open_session() as session:
        session.execute(
            update(Upload)
            .where(Upload.id == upload.id)
            .values(heard_at=upload.created_at - datetime.timedelta(minutes=10))
        )
    upload_in_parts(user, 1000)

    with pytest.raises(NoRoomLeft), open_session() as session:
        admission.admit(session, upload, filename="a.mp4", size_bytes=1000, sha256="0", plan=PLAN)
