"""Progress that doesn't lie: it never falls, nor passes a total that stays; and the time left is nearly that."""

import datetime
import heapq
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from app.accounts.models import User
from app.database import open_session
from app.extractions import lifecycle, queries, segment_lifecycle, work_lifecycle
from app.extractions.claims import Claim, Range
from app.extractions.models import Segment
from app.extractions.progress import JOIN_BYTES_PER_SECOND, seconds_left
from app.extractions.states import Progress
from tests.app.extractions.holding import archive_of, claim, fail, finish_frames

HEARTBEAT_SECONDS = 3.0


def run(lengths: list[float], *, workers: int, frames: list[int] | None = None, join: float = 0.0) -> tuple[float, Any]:
    """How long segments of these lengths and their join take on so many workers, and what the database says of them at
    a time."""
    frames = frames or [round(10 * length) for length in lengths]
    frame_bytes = JOIN_BYTES_PER_SECOND * join / sum(frames)
    free, begins = [0.0] * workers, []
    for length in lengths:
        begins.append(heapq.heapreplace(free, free[0] + length))

    def parts_at(now: float) -> Iterator[dict[str, Any]]:
        for begin, length, expected in zip(begins, lengths, frames, strict=True):
            # A worker tells how far it is at each heartbeat.
            word = min(begin + (now - begin) // HEARTBEAT_SECONDS * HEARTBEAT_SECONDS, begin + length)
            status = "PENDING" if now < begin else "COMPLETED" if now >= begin + length else "PROCESSING"
            waits, ended = status == "PENDING", status == "COMPLETED"
            share = 0.0 if waits else 1.0 if ended else (word - begin) / length
            yield {
                "step": "FRAMES",
                "status": status,
                "bytes": frame_bytes * expected if ended else None,
                "expected": expected,
                "done": int(expected * share),
                "worked": None if waits else length * share,
                "silent": None if waits else now - word,
            }

        if now >= max(free):
            yield {"step": "JOIN", "status": "PROCESSING", "silent": now - max(free)}

    return max(free) + join, lambda now: [*parts_at(now)]


@pytest.mark.parametrize(
    ("lengths", "workers", "join"),
    [
        ([25.0], 1, 0),
        ([120.0], 1, 0),
        ([30.0, 30.0, 30.0, 8.0], 1, 0),
        ([30.0, 30.0, 30.0, 8.0], 2, 5),
        ([30.0] * 8 + [12.0], 8, 0),
        ([30.0] * 17, 8, 20),
        ([20.0, 30.0, 40.0] * 10, 4, 40),
    ],
)
def test_the_time_left_is_within_a_factor_of_two_in_the_second_half(lengths: list[float], workers: int, join: float):
    whole, parts_at = run(lengths, workers=workers, join=join)
    moments = [whole / 2 + step * 0.5 for step in range(int(whole))]
    told = {now: seconds_left(parts_at(now)) for now in moments if whole - now >= 0.5}

    assert not {now: told[now] for now in told if not 0.5 <= (told[now] or 0) / (whole - now) <= 2}


def test_nothing_is_told_before_the_first_frames_or_where_only_pictures_tell():
    _, parts_at = run([30.0, 30.0], workers=1)
    unknown = [{**part, "expected": None} for part in parts_at(20)]

    assert (seconds_left(None), seconds_left(parts_at(1)), seconds_left(unknown)) == (None, None, None)


@pytest.fixture
def watch(user: User):
    """What the owner is told of an extraction at each look."""
    looks: list[Progress] = []

    def look(extraction_id) -> list[Progress]:
        with open_session() as session:
            looks.append(queries.extraction_state(session, extraction_id, user_id=user.id).progress)
        return looks

    return look


def tell(held: Claim, frames_done: int) -> None:
    with open_session() as session:
        segment_lifecycle.keep_lease(session, held, frames_done=frames_done)


def cut_in_two(held: Claim) -> Claim:
    """End the probe: two parts of 10 frames each."""
    with open_session() as session:
        first = work_lifecycle.cut(
            session,
            held,
            media={},
            packet_index=b"",
            ranges=[Range(None, 100, 10), Range(100, None, 10)],
            frames_total=20,
        )
    assert first is not None
    return first


def is_true(looks: list[Progress]) -> bool:
    """Whether no look takes back what an earlier one has told."""
    known = [look for look in looks if look.frames_total is not None]
    return (
        all(before.frames_done <= after.frames_done for before, after in itertools.pairwise(looks))
        and all(before.fraction <= after.fraction for before, after in itertools.pairwise(looks))
        and {look.frames_total for look in known} <= {20}
        and known == looks[-len(known) :]
        and all(look.frames_done <= 20 for look in known)
    )


def test_progress_outlives_crashes_and_lost_workers(user: User, ask, watch):
    asked = ask(user)
    watch(asked.extraction_id)
    first = cut_in_two(claim())
    second = claim()
    for held, done in ((first, 8), (second, 9)):
        tell(held, done)
        watch(asked.extraction_id)
    fail(first, "DECODER_CRASHED")
    with open_session() as session:
        segment_lifecycle.give_back(session, second)
    watch(asked.extraction_id)
    again = claim()
    tell(again, 1)
    watch(asked.extraction_id)
    finish_frames(again, frames=10)
    looks = watch(asked.extraction_id)

    assert is_true(looks)
    assert [look.frames_done for look in looks] == [0, 8, 17, 17, 17, 18]


def test_progress_outlives_an_index_that_promised_too_much(user: User, ask, watch):
    asked = ask(user)
    first = cut_in_two(claim())
    second = claim()
    tell(first, 5)
    tell(second, 10)
    watch(asked.extraction_id)
    with open_session() as session:
        whole = work_lifecycle.uncut(session, first)
    watch(asked.extraction_id)
    tell(whole, 2)
    watch(asked.extraction_id)
    join = finish_frames(whole, frames=12)
    watch(asked.extraction_id)
    with open_session() as session:
        work_lifecycle.finish_join(session, join, archive_of(join))
    looks = watch(asked.extraction_id)

    assert is_true(looks)
    assert [look.frames_done for look in looks] == [15] * 5
    assert (looks[-1].frames_total, looks[-1].fraction) == (20, 1.0)


def test_the_time_left_goes_by_the_clock_of_the_database(user: User, ask, watch):
    asked = ask(user)
    first = cut_in_two(claim())
    tell(first, 5)
    with open_session() as session:
        lifecycle.started(session, asked.extraction_id)
        ten_seconds_earlier = Segment.progressed_at - datetime.timedelta(seconds=10)
        session.execute(update(Segment).where(Segment.id == first.segment_id).values(started_at=ten_seconds_earlier))
    (told,) = watch(asked.extraction_id)

    # 10 s more for the first part, of which some may be over by now, and 20 for the second.
    assert 20 <= told.seconds_left <= 30
